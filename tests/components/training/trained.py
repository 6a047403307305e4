"""Trains forms of the methods for a few steps in float64, on any strategy."""

import contextlib
import dataclasses
import functools
from typing import Any

import keras
import numpy as np
import pytest

from tests.components.methods.forms import (
    BATCH,
    CLASSES,
    FEATURES,
    build_form,
    distribute_batch,
    global_batch,
    shift_by_key,
    values_of,
)
from tests.strategies import strategy_of
from twofold.components.encoders.heads import build_linear_head
from twofold.components.training.averaging import ExponentialMovingAverage, StochasticWeightAverage
from twofold.components.training.step import OnlineProbe, StepSettings, TrainState, build_train_step

STEPS = 3
LEARNING_STEPS = 80


@contextlib.contextmanager
def float64():
    """Computes in float64: single precision would hide a wrong scale behind its rounding."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def _ema(variables):
    return ExponentialMovingAverage(variables, 0.8)


def _swa(variables):
    return StochasticWeightAverage(variables, start_step=1, period=1)


# What goes along with a form; each of these once or twice, since they know of no method.
_STATES: dict[str, dict[str, Any]] = {
    "barlow_twins": {"rate": 0.01, "probe": {"view": shift_by_key, "labelled_rows": BATCH // 2}},
    "nnclr": {"average": _ema, "probe": {}},
    "self_training": {"average": _swa},
    "simclr": {"probe": {"view": shift_by_key}},
    "vae": {"rate": 0.01},
    "vicreg": {"rate": 0.01},
}


def build_state(method, replicas=1, *, rate=0.1, average=None, probe=None):
    """Everything that a step may change: weights, memory, an average and a probe.

    Args:
        method: in the strategy's scope, as this call.
        replicas: that share the probe's ``labelled_rows``.
        rate: of SGD, which shows the scale of a gradient, where Adam would divide it away.
        average: from weights to their average.
        probe: settings of ``OnlineProbe``; None for no probe.

    """
    plain = TrainState(method.models, keras.optimizers.SGD(rate), memory=method.memory)
    if probe is not None:
        rows = probe.get("labelled_rows")
        probe = OnlineProbe(
            build_linear_head(FEATURES, CLASSES, seed=5),
            keras.optimizers.SGD(0.5),
            **(probe | {"labelled_rows": rows and rows // replicas}),
            compile_view=False,
        )
    average = average and average(plain.variables)
    state = dataclasses.replace(plain, probe=probe, average=average)
    state.build()
    return state


def _labelled_last(batch, replicas):
    """Orders a batch whose second half is labelled so that each replica's part is alike."""
    halves = np.arange(BATCH).reshape(2, replicas, -1)
    order = halves.transpose(1, 0, 2).reshape(-1)
    return {name: value[order] for name, value in batch.items()}


def train(strategy, form, settings=None):
    """Trains a form for ``STEPS`` steps.

    Returns:
        (the metrics of each step, all that the state then holds), each by name.

    """
    replicas = strategy.num_replicas_in_sync
    state_settings = _STATES.get(form, {})
    with strategy.scope():
        method = build_form(form)
        state = build_state(method, replicas, **state_settings)
    step = build_train_step(strategy, method, state, settings or StepSettings(seed=11))
    metrics = []
    for index in range(STEPS):
        batch = global_batch(index)
        if (state_settings.get("probe") or {}).get("labelled_rows"):
            batch = _labelled_last(batch, replicas)
        values = step(distribute_batch(strategy, batch))
        metrics.append({name: value.numpy() for name, value in values.items()})
    return metrics, values_of(state)


@functools.cache
def train_on(replicas, form):
    """Trains a form on logical CPU devices, once a process."""
    return train(strategy_of(replicas), form)


@functools.cache
def train_single(form, *, compiled=False, steps=LEARNING_STEPS):
    """Trains a form by Adam in float32 on one device.

    Returns:
        (the metrics of each step, all that the state held after the first), each by name.

    """
    method = build_form(form)
    # So large an epsilon leaves a gradient's rounding as small as it is.
    optimizer = keras.optimizers.Adam(0.01, epsilon=1e-3)
    state = TrainState(method.models, optimizer, memory=method.memory)
    state.build()
    settings = StepSettings(seed=11, compiled=compiled)
    step = build_train_step(strategy_of(1), method, state, settings)
    batches = [distribute_batch(strategy_of(1), global_batch(index % 4)) for index in range(steps)]
    metrics = [step(batches[0])]
    first = values_of(state)
    metrics += [step(batch) for batch in batches[1:]]
    return [{name: float(value) for name, value in one.items()} for one in metrics], first


def assert_alike(one, other, tolerance=1e-9):
    """Compares what two trainings gave."""
    for left, right in zip(one[0], other[0], strict=True):
        # Where nothing is clipped, one replica alone measures it.
        assert left.keys() ^ right.keys() <= {"gradient_norm"}
        for name in left.keys() & right.keys():
            assert left[name] == pytest.approx(right[name], rel=0, abs=tolerance), name
    assert one[1].keys() == other[1].keys()
    for name in one[1]:
        np.testing.assert_allclose(one[1][name], other[1][name], 0, tolerance, err_msg=name)
