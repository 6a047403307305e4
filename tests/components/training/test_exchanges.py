"""What a step asks of GPUs: few exchanges, no condition and no host, and what XLA can compile.

There are no GPUs here: logical CPUs stand for them, and what TensorFlow does otherwise on GPUs is
switched on by hand. XLA itself compiles no exchange between CPUs.
"""

import collections
import itertools
import threading
from typing import Any

import keras
import pytest
import tensorflow as tf

from tests.components.methods.forms import build_form, distribute_batch, global_batch
from tests.components.training.trained import assert_alike, float64, train, train_on
from tests.strategies import strategy_of
from twofold.components.training.step import StepSettings, TrainState, build_train_step
from twofold.components.transforms import conditions
from twofold.components.transforms.policies import build_policy

_BRANCHES = {"If", "StatelessIf", "Case", "StatelessCase", "While", "StatelessWhile"}
_NUMBERS = itertools.count(70)
_HOST = {"PyFunc", "PyFuncStateless", "EagerPyFunc", "PrintV2", "Where", "Unique", "UniqueV2"}


def operations(strategy, form, settings=None, **changes):
    """How often a step's graph has each kind of operation, those of its functions as well."""
    with strategy.scope():
        method = build_form(form, **changes)
        state = TrainState(method.models, keras.optimizers.SGD(0.1), memory=method.memory)
        state.build()
    step: Any = build_train_step(strategy, method, state, settings or StepSettings(seed=11))
    batch = distribute_batch(strategy, global_batch(0))
    graph = step.get_concrete_function(batch).graph.as_graph_def()
    functions = (node for part in graph.library.function for node in part.node_def)
    return collections.Counter(node.op for node in (*graph.node, *functions))


def test_replicas_exchange_all_gradients_at_once():
    count = operations(strategy_of(2), "supervised")["CollectiveReduceV2"]
    # Of each of two replicas: the statistics of its normalisation and their gradient; how many
    # labels there are, for the loss and for the accuracy; two sums for the deviation of features;
    # and the gradients of all weights together.
    assert count == 2 * (2 + 2 + 2 + 1)


def test_a_step_of_a_gpu_has_no_condition_and_does_not_ask_the_host(monkeypatch):
    monkeypatch.setattr(conditions, "branches", lambda: False)
    view = build_policy("barlow")
    found = operations(
        strategy_of(1), "simclr", StepSettings(seed=11, clip_norm=1.0), views=[view, view]
    )
    assert found["Conv2D"] >= 2, "the step was counted"
    assert not found.keys() & (_BRANCHES | _HOST)


@pytest.fixture
def as_gpus(monkeypatch):
    """Two logical CPUs, between which functions to be compiled exchange as they do between GPUs."""
    # Strategies of one process must not number their collectives alike.
    monkeypatch.setattr(
        tf.distribute.MirroredStrategy, "_collective_key_base", 100_000 * next(_NUMBERS)
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    here, function = threading.local(), tf.function

    def make(python_function=None, *, jit_compile=None, **options):
        if not jit_compile:
            return function(python_function, **options)

        def decorate(compiled):
            def traced(*arguments):
                here.compiling = True
                try:
                    return compiled(*arguments)
                finally:
                    here.compiling = False

            return function(traced, **options)

        return decorate if python_function is None else decorate(python_function)

    monkeypatch.setattr(tf, "function", make)
    merges = lambda: not getattr(here, "compiling", False)  # noqa: E731
    monkeypatch.setattr(strategy.extended, "_use_merge_call", merges)
    return strategy


@pytest.mark.parametrize(
    "form",
    [
        pytest.param("nnclr", marks=pytest.mark.long),
        pytest.param("moco", marks=pytest.mark.long),
        "simclr",
    ],
)
def test_replicas_that_compile_forward_and_backward_equal_one_device(as_gpus, form):
    with float64():
        compiled = train(as_gpus, form, StepSettings(seed=11, compiled=True))
        assert_alike(compiled, train_on(1, form))
