"""Infinities and NaNs are found wherever a checkpoint would hold them."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.methods.queue import SupportQueue
from twofold.components.training.alarms.finite_weights import build_non_finite_search
from twofold.components.training.averaging import ExponentialMovingAverage
from twofold.components.training.monitors import EarlyStopping
from twofold.components.training.step import OnlineProbe, TrainState


def build(replicas=1):
    with strategy_of(replicas).scope():
        encoder = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()]
        )
        head = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
        state = TrainState(
            {"encoder": encoder},
            keras.optimizers.Adam(),
            OnlineProbe(head, keras.optimizers.Adam()),
            {"queue": SupportQueue(4, 2, seed=0)},
            ExponentialMovingAverage(encoder.trainable_variables, 0.9),
            {"early_stopping": EarlyStopping(3)},
        )
        state.build()
    return state


def test_nothing_is_found_where_all_is_finite():
    # A monitor holds an infinity until it has observed something.
    assert build_non_finite_search(build())() is None


def test_values_whose_squares_overflow_are_finite():
    state = build()
    state.variables[0].assign(np.full((2, 2), 3e38))
    assert build_non_finite_search(state)() is None


@pytest.mark.parametrize("replicas", [1, 2])
def test_each_thing_that_a_checkpoint_holds_is_searched(replicas):
    state = build(replicas)
    search = build_non_finite_search(state)
    places = [
        ("encoder", state.models["encoder"].trainable_variables[0]),
        ("encoder", state.models["encoder"].non_trainable_variables[-1]),
        ("optimizer", state.optimizer.variables[-1]),
        ("probe", state.probe.head.variables[0]),
        ("probe_optimizer", state.probe.optimizer.variables[-1]),
        ("queue", state.memory["queue"].rows),
        ("average", state.average.averages[0]),
    ]
    for owner, variable in places:
        before = tf.convert_to_tensor(variable)
        for bad in (math.nan, -math.inf):
            variable.assign(tf.fill(before.shape, bad))
            name = search()
            assert name is not None
            assert name.startswith(f"{owner}: ")
        variable.assign(before)
    assert search() is None
