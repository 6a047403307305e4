"""Activations that are computed again give the same gradients and move statistics once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import (
    IMAGE_SHAPE,
    build_form,
    distribute_batch,
    global_batch,
    values_of,
)
from tests.components.training.trained import float64
from tests.strategies import strategy_of
from twofold.components.encoders.layers.blocks import in_block
from twofold.components.encoders.layers.normalisation import batch_normalization
from twofold.components.encoders.layers.recomputation import recompute_activations
from twofold.components.errors import SettingsError
from twofold.components.training.step import StepSettings, TrainState, build_train_step

SHAPE = (8, 8, 3)


def residual(shape=SHAPE):
    """A stem, and two residual blocks of which the first has a shortcut of its own."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input(shape)

    def convolve(x, channels, block, name):
        layer = keras.layers.Conv2D(channels, 3, padding="same", use_bias=False, name=name)
        x = in_block(block, layer)(x)
        return batch_normalization(f"{name}_norm", block=block)(x)

    x = keras.layers.ReLU()(convolve(inputs, 4, "stem", "stem"))
    y = keras.layers.ReLU()(convolve(x, 6, "first", "first"))
    x = keras.layers.ReLU()(y + convolve(x, 6, "first", "first_shortcut"))
    y = keras.layers.ReLU()(convolve(x, 6, "second", "second"))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x + y), name="residual")


def trace(encoder):
    """A function of images to features and gradients, and its graph."""
    values = [variable.value for variable in encoder.trainable_variables]

    @tf.function(autograph=False)
    def step(images):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            features = encoder(images, training=True)
            loss = tf.reduce_sum(tf.sin(3 * features))
        return features, tape.gradient(loss, values)

    images = tf.constant(np.random.default_rng(0).random((6, *SHAPE)))
    graph = step.get_concrete_function(images).graph
    return *step(images), [operation.type for operation in graph.get_operations()]


def test_gradients_and_statistics_are_the_same_and_convolutions_are_made_once_more():
    with float64():
        plain, recomputed = residual(), residual()
        recompute_activations(recomputed)
        names = [variable.path for variable in recomputed.variables]
        assert names == [variable.path for variable in plain.variables]
        (features, gradients, made), again = trace(plain), trace(recomputed)
        np.testing.assert_array_equal(features, again[0])
        for one, other in zip(gradients, again[1], strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(plain.variables, recomputed.variables, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=one.path)
        assert (made.count("Conv2D"), again[2].count("Conv2D")) == (4, 8)
        images = np.ones((2, *SHAPE))
        np.testing.assert_array_equal(recomputed(images), plain(images))


def test_an_encoder_of_one_block_is_refused():
    inputs = keras.Input(SHAPE)
    one = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs), name="one")
    with pytest.raises(SettingsError, match="the encoder one is one block"):
        recompute_activations(one)


def trained(replicas, recomputed, compiled=False):
    """All that two steps leave of a training with labels."""
    strategy = strategy_of(replicas)
    with strategy.scope():
        method = build_form("supervised", encoder=residual(IMAGE_SHAPE))
        if recomputed:
            recompute_activations(method.models["encoder"])
        state = TrainState(method.models, keras.optimizers.SGD(0.1))
        state.build()
    settings = StepSettings(seed=1, compiled=compiled, accumulate=2)
    step = build_train_step(strategy, method, state, settings)
    for index in range(2):
        step(distribute_batch(strategy, global_batch(index)))
    return values_of(state)


@pytest.mark.long
@pytest.mark.parametrize(("replicas", "compiled"), [(2, False), (1, True)])
def test_a_step_that_recomputes_is_the_same_on_two_replicas_and_compiled(replicas, compiled):
    with float64():
        expected = trained(1, recomputed=False)
        for name, value in trained(replicas, recomputed=True, compiled=compiled).items():
            # Views are float32, which XLA rounds otherwise.
            tolerance = 1e-6 if compiled else 1e-9
            np.testing.assert_allclose(value, expected[name], 0, tolerance, err_msg=name)
