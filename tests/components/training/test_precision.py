"""Steps in half precision, and the losses and weights that stay in single."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import (
    TRAINED,
    build_form,
    distribute_batch,
    global_batch,
    method_input,
)
from tests.op_by_op import op_by_op
from tests.strategies import strategy_of
from twofold.components.training.precision import bfloat16_instructions, keep_gradients, precision
from twofold.components.training.step import StepSettings, TrainState, build_train_step

# All have the same layers and the same ``widen``; these differ in what follows.
FLOAT16 = ("self_training", "simclr", "vae")


@pytest.fixture
def _untraced():
    with op_by_op():
        yield


def _build(form, name):
    with precision(name):
        method = build_form(form)
    optimizer = keep_gradients(keras.optimizers.SGD(0.01), name)
    state = TrainState(method.models, optimizer, memory=method.memory)
    state.build()
    step = build_train_step(strategy_of(1), method, state, StepSettings(seed=11))
    return method, state, step


def _batch(index):
    return distribute_batch(strategy_of(1), global_batch(index))


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="unknown precision 'int8': expected one of float32, bf"):
        precision("int8").__enter__()


@pytest.mark.parametrize(
    ("described", "found"),
    [
        ("flags\t\t: fpu avx2 avx512_bf16 amx_bf16\n", ["amx_bf16", "avx512_bf16"]),
        ("flags\t\t: fpu avx2\n", []),
        ("Features\t: fp asimd bf16 i8mm\n", ["bf16"]),
        # What one kind of core of two lacks, the system cannot rely on.
        ("flags\t\t: avx512_bf16\n\nflags\t\t: avx2\n", []),
        ("bugs\t\t: bf16\n", None),
        ("", None),
    ],
)
def test_a_processor_is_asked_for_its_instructions_for_bfloat16(tmp_path, described, found):
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(f"processor\t: 0\n{described}", encoding="utf-8")
    assert bfloat16_instructions(cpu) == found


def test_a_system_that_does_not_describe_its_processor_is_unknown(tmp_path):
    assert bfloat16_instructions(tmp_path / "cpuinfo") is None


@pytest.mark.usefixtures("_untraced")
@pytest.mark.parametrize(
    ("form", "name"),
    [
        *((form, "bfloat16") for form in TRAINED),
        *(
            pytest.param(form, "float16", marks=[] if form in FLOAT16 else pytest.mark.long)
            for form in TRAINED
        ),
    ],
)
def test_half_precision_leaves_losses_and_weights_in_single(form, name):
    method, state, step = _build(form, name)
    assert method.models["encoder"].compute_dtype == name
    before = np.asarray(state.variables[0])
    metrics = step(_batch(0))

    for metric, value in metrics.items():
        assert value.dtype == tf.float32, metric
        assert np.isfinite(value), metric
    networks = [*method.models.values(), *method.memory.values()]
    for variable in (variable for network in networks for variable in network.variables):
        # How many patches k_means has seen is a whole number.
        expected = "int64" if variable.name == "count:0" else "float32"
        assert variable.dtype == expected, variable.name
    assert keras.config.dtype_policy().name == "float32", "the policy is as it was before"
    # A loss scale that is too large halves with each step that it makes infinite.
    for index in range(1, 10):
        if not np.array_equal(before, state.variables[0]):
            break
        step(_batch(index))
    assert not np.array_equal(before, state.variables[0])
    # The first loss is the same computation with 8 bits, or 11.
    expected = build_form(form)(method_input()).loss
    assert float(metrics["loss"]) == pytest.approx(float(expected), rel=0.1)


def test_float16_skips_a_step_whose_gradients_are_not_finite():
    _, state, step = _build("supervised", "float16")
    state.optimizer.dynamic_scale.assign(2.0**40)
    before = [np.asarray(variable) for variable in state.variables]
    metrics = step(_batch(0))

    assert np.isfinite(metrics["loss"])
    for variable, value in zip(state.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert float(state.optimizer.dynamic_scale) == 2.0**39
    assert state.step == 1, "the batch is used up all the same"
