"""Gradients of several parts of a batch, averaged before one update."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import BATCH, build_form, distribute_batch, global_batch
from tests.components.training.trained import float64
from tests.strategies import strategy_of
from twofold.components import keyed_random
from twofold.components.training.method import MethodInput
from twofold.components.training.step import StepSettings, TrainState, build_train_step

RATE = 0.1


@pytest.fixture(autouse=True, scope="module")
def _float64():
    with float64():
        yield


def _without_batch_norm():
    """Supervised on a network whose loss is a mean over images, each on its own."""
    encoder = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Conv2D(
                3,
                3,
                strides=2,
                activation="relu",
                kernel_initializer=keras.initializers.GlorotUniform(1),
            ),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(6, kernel_initializer=keras.initializers.GlorotUniform(2)),
        ]
    )
    return build_form("supervised", encoder=encoder)


def _step(method, *, replicas=1, **settings):
    """Makes one step; returns its metrics and the weights after it."""
    strategy = strategy_of(replicas)
    with strategy.scope():
        method = method()
        state = TrainState(method.models, keras.optimizers.SGD(RATE), memory=method.memory)
        state.build()
    step = build_train_step(strategy, method, state, StepSettings(seed=11, **settings))
    # As many labels in each part, since a mean of means is then the mean.
    batch = global_batch(0) | {"label": np.array([0, 1, -1, -1, 2, 1, 0, 2], np.int32)}
    metrics = step(distribute_batch(strategy, batch))
    return metrics, [np.asarray(variable) for variable in state.variables]


def test_parts_equal_one_pass_where_images_do_not_know_of_each_other():
    metrics, weights = _step(_without_batch_norm, accumulate=2)
    whole_metrics, whole_weights = _step(_without_batch_norm)

    assert float(metrics["loss"]) == pytest.approx(float(whole_metrics["loss"]), abs=1e-12)
    assert float(metrics["accuracy"]) == float(whole_metrics["accuracy"])
    for one, other in zip(weights, whole_weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_the_update_is_by_the_mean_of_the_gradients_of_every_second_image():
    def build():
        return build_form("simclr")

    method = build()
    variables = TrainState(method.models, keras.optimizers.SGD()).variables
    batch = global_batch(0)
    step = tf.constant(0, tf.int64)
    keys = keyed_random.image_keys(11, step, tf.constant(batch["key_hash"]))
    gradients, losses = [], []
    for part in (0, 1):
        with tf.GradientTape() as tape:
            output = method(
                MethodInput(
                    tf.constant(batch["image"][part::2]),
                    tf.constant(batch["label"][part::2]),
                    keys[part::2],
                    step,
                )
            )
        losses.append(float(output.loss))
        gradients.append(tape.gradient(output.loss, [one.value for one in variables]))

    metrics, weights = _step(build, accumulate=2)
    assert float(metrics["loss"]) == pytest.approx(sum(losses) / 2, abs=1e-12)
    for after, before, one, other in zip(weights, variables, *gradients, strict=True):
        expected = before - RATE * (one + other) / 2
        np.testing.assert_allclose(after, expected, rtol=0, atol=1e-12)


def test_all_parts_are_enqueued():
    built = []

    def build():
        built.append(build_form("nnclr"))
        return built[-1]

    for parts in (1, 2):
        _step(build, accumulate=parts)
    rows = [method.queue.values().numpy() for method in built]
    np.testing.assert_array_equal(rows[0][BATCH:], rows[1][BATCH:])
    assert not np.isclose(rows[0][:BATCH], rows[1][:BATCH]).all(), "statistics are a part's own"


def test_clipping_bounds_the_update():
    _, before = _step(_without_batch_norm, clip_norm=1e-9)
    metrics, after = _step(_without_batch_norm, clip_norm=0.01)
    moved = np.sqrt(
        sum(np.sum((one - other) ** 2) for one, other in zip(before, after, strict=True))
    )
    assert float(metrics["gradient_norm"]) > 0.01
    assert moved == pytest.approx(RATE * 0.01, rel=1e-6)
