"""Weights with a learning rate of their own move as by an optimizer of that rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.training.optimizers.named_optimizers import OPTIMIZERS, build_optimizer
from twofold.components.training.optimizers.schedules import build_schedule

GRADIENTS = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
START = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)


def falling():
    return build_schedule(0.1, end_step=4)


def own(step):
    return 0.3 - 0.05 * tf.cast(step, tf.float32)


class _Own(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return own(step)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_moves_by_its_own_rate_alone(name):
    one = tf.distribute.get_strategy()
    first, second = together(name, one, [falling(), _Own()])
    np.testing.assert_allclose(first, alone(name, falling()), rtol=1e-6)
    np.testing.assert_allclose(second, alone(name, _Own()), rtol=1e-6)
    assert not np.allclose(first, second)


def together(name, strategy, rates):
    with strategy.scope():
        variables = [keras.Variable(START, name=f"kernel{index}") for index in range(2)]
        optimizer = build_optimizer(name, learning_rate=rates[0])
        optimizer.set_apart(variables[1:], rates[1])
        optimizer.build(variables)
    return run(optimizer, variables, strategy)


def alone(name, rate):
    variables = [keras.Variable(START, name="kernel")]
    optimizer = build_optimizer(name, learning_rate=rate)
    optimizer.build(variables)
    return run(optimizer, variables, tf.distribute.get_strategy())[0]


def run(optimizer, variables, strategy):
    @tf.function(autograph=False)
    def step(gradient):
        def replica_step():
            # Shares that differ and add up to the gradient.
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            share = 0.25 + 0.5 * tf.cast(replica, tf.float32)
            if strategy.num_replicas_in_sync == 1:
                share = 1.0
            optimizer.apply([gradient * share] * len(variables), variables)

        strategy.run(replica_step)

    for gradient in GRADIENTS:
        step(tf.constant(gradient))
    return [np.asarray(variable) for variable in variables]


def test_two_replicas_move_as_one():
    plain = together("adam", tf.distribute.get_strategy(), [falling(), _Own()])
    for one, other in zip(
        together("adam", strategy_of(2), [falling(), _Own()]), plain, strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)
