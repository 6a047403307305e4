"""Batch normalisation: its precision, and the same for one device and for several."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.encoders.layers.normalisation import (
    BatchNormalization,
    as_keras_layer,
    batch_normalization,
    grouped_statistics,
)

RANDOM = np.random.default_rng(0)
IN_XLA = [pytest.param(False, id="graph"), pytest.param(True, id="XLA")]


def built(shape, dtype="float32", **settings):
    layer = BatchNormalization(
        synchronized=True, dtype=dtype, **{"momentum": 0.9, "epsilon": 1e-5} | settings
    )
    layer.build((None, *shape[1:]))
    return layer


def in_training(layer, compiled=False):
    return tf.function(lambda x: layer(x, training=True), autograph=False, jit_compile=compiled)


def normalised(x, epsilon=1e-5):
    """Ioffe & Szegedy (2015), algorithm 1, in float64."""
    x = np.asarray(x, np.float64)
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + epsilon)


@pytest.mark.parametrize("compiled", IN_XLA)
@pytest.mark.parametrize("shape", [(16, 12, 12, 3), (64, 3)])
@pytest.mark.parametrize(("mean", "tolerance"), [(0, 1e-5), (100, 5e-4), (1_000, 5e-3)])
def test_values_far_from_zero_are_normalised_precisely(compiled, shape, mean, tolerance):
    # Keras's synchronised form is off by 0.07 at 100 and by 1,000 at 1,000.
    x = RANDOM.normal(mean, 1, shape).astype(np.float32)
    layer = built(shape, momentum=0.0)

    np.testing.assert_allclose(in_training(layer, compiled)(x), normalised(x), atol=tolerance)
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(layer.moving_mean, x.mean(axes, np.float64), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(layer.moving_variance, x.var(axes, np.float64), rtol=1e-4)


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_normalise_values_far_from_zero_more_precisely_still(replicas):
    # Each has another mean, as where a batch is sorted; the deviation of all is about 1.
    x = RANDOM.normal(1_000, 0.5, (16, 4, 4, 3)).astype(np.float32)
    x += np.repeat([-1, 1], 8).reshape(16, 1, 1, 1).astype(np.float32)

    found = gradients_on(replicas, x, np.ones_like(x), "float32", momentum=0.0)

    expected = normalised(x) * [0.5, 1.0, 2.0] + [-1.0, 0.0, 0.5]
    np.testing.assert_allclose(found["outputs"], expected, atol=2e-5)
    np.testing.assert_allclose(found["moving_variance"], x.var((0, 1, 2), np.float64), rtol=1e-5)


@pytest.mark.parametrize("compiled", IN_XLA)
def test_photographs_of_low_contrast_are_normalised_precisely_after_a_convolution(compiled):
    # Keras's synchronised form is off by up to 0.65.
    images = RANDOM.integers(249, 252, (16, 16, 16, 3)).astype(np.float32) / 255
    convolution = keras.layers.Conv2D(8, 3, kernel_initializer=keras.initializers.HeNormal(seed=0))
    maps = convolution(images)
    layer = built(maps.shape)

    np.testing.assert_allclose(in_training(layer, compiled)(maps), normalised(maps), atol=1e-2)


def gradients_on(replicas, x, weights, dtype, *, groups=1, **settings):
    """Runs one training step on parts of a batch; the loss is sum(weights * tanh(outputs))."""
    strategy = strategy_of(replicas)
    with strategy.scope():
        layer = built(x.shape, dtype, **settings)
        layer.gamma.assign([0.5, 1.0, 2.0])
        layer.beta.assign([-1.0, 0.0, 0.5])
    parts = {
        name: strategy.experimental_distribute_values_from_function(
            lambda context, values=values: tf.constant(
                np.array_split(values, replicas)[context.replica_id_in_sync_group], dtype
            )
        )
        for name, values in (("x", x), ("weights", weights))
    }

    def replica(x, weights):
        variables = [layer.gamma.value, layer.beta.value]
        with tf.GradientTape() as tape, grouped_statistics(groups):
            tape.watch([x, *variables])
            outputs = layer(x, training=True)
            loss = tf.reduce_sum(weights * tf.tanh(outputs))
        return outputs, loss, tape.gradient(loss, [x, *variables])

    @tf.function(autograph=False)
    def step(x, weights):
        return strategy.run(replica, args=(x, weights))

    outputs, loss, (to_x, to_gamma, to_beta) = step(parts["x"], parts["weights"])
    local = strategy.experimental_local_results
    found = {"outputs": np.concatenate([one.numpy() for one in local(outputs)])}
    found["x"] = np.concatenate([one.numpy() for one in local(to_x)])
    for name, values in (("loss", loss), ("gamma", to_gamma), ("beta", to_beta)):
        found[name] = sum(one.numpy() for one in local(values))
    for name in ("moving_mean", "moving_variance"):
        copies = [one.numpy() for one in local(getattr(layer, name).value)]
        assert len(copies) == replicas
        for copy in copies:
            np.testing.assert_array_equal(copy, copies[0])
        found[name] = copies[0]
    return found


@pytest.mark.parametrize("replicas", [2, 4])
@pytest.mark.parametrize("rows", [8, 7])
@pytest.mark.parametrize("shape", [(3, 2, 3), (3,)])
def test_any_number_of_replicas_has_the_losses_gradients_and_statistics_of_one(
    replicas, rows, shape
):
    # With 7 rows the last replica has one less.
    x = RANDOM.normal(2, 3, (rows, *shape))
    weights = RANDOM.normal(size=x.shape)

    one = gradients_on(1, x, weights, "float64")
    several = gradients_on(replicas, x, weights, "float64")

    for name, expected in one.items():
        np.testing.assert_allclose(several[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("shape", [(8, 3, 2, 3), (16, 3)])
@pytest.mark.parametrize("replicas", [1, 2])
def test_gradients_and_statistics_are_those_of_the_formula(shape, replicas):
    x = RANDOM.normal(2, 3, shape)
    weights = RANDOM.normal(size=x.shape)

    found = gradients_on(replicas, x, weights, "float32")

    axes = tuple(range(x.ndim - 1))
    gamma, beta = tf.constant([0.5, 1.0, 2.0], tf.float64), tf.constant([-1.0, 0, 0.5], tf.float64)
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch([inputs, gamma, beta])
        mean = tf.reduce_mean(inputs, axes)
        variance = tf.reduce_mean(tf.square(inputs - mean), axes)
        outputs = (inputs - mean) / tf.sqrt(variance + 1e-5) * gamma + beta
        loss = tf.reduce_sum(weights * tf.tanh(outputs))
    expected = dict(
        zip(("x", "gamma", "beta"), tape.gradient(loss, [inputs, gamma, beta]), strict=True)
    )
    expected |= {"outputs": outputs, "loss": loss}
    # Of the biased variance, as in Keras; they start at 0 and 1.
    expected |= {"moving_mean": 0.1 * mean, "moving_variance": 0.9 + 0.1 * variance}
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("shape", [(8, 3, 2, 3), (16, 3)])
def test_parts_of_a_batch_are_normalised_as_batches_of_their_own(shape, replicas):
    x = RANDOM.normal(2, 3, shape)
    weights = RANDOM.normal(size=x.shape)

    found = gradients_on(replicas, x, weights, "float64", groups=4)

    parts = [
        gradients_on(1, *part, "float64")
        for part in zip(np.split(x, 4), np.split(weights, 4), strict=True)
    ]
    for name in ("outputs", "x"):
        expected = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)
    for name in ("loss", "gamma", "beta"):
        expected = sum(part[name] for part in parts)
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)
    for name in ("moving_mean", "moving_variance"):
        expected = np.mean([part[name] for part in parts], axis=0)
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("compiled", IN_XLA)
@pytest.mark.parametrize("shape", [(8, 4, 4, 3), (32, 3)])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_statistics_in_float32(compiled, shape, dtype):
    # At 40 deviations from 0, the square of a value has no digit left in bfloat16.
    x = tf.cast(RANDOM.normal(40, 1, shape), dtype)
    layer = built(shape, f"mixed_{dtype}", momentum=0.0)

    outputs = in_training(layer, compiled)(x)

    assert outputs.dtype == dtype
    values = tf.cast(x, tf.float64).numpy()
    np.testing.assert_allclose(tf.cast(outputs, tf.float64), normalised(values), atol=0.02)
    assert layer.moving_variance.dtype == "float32"
    axes = tuple(range(len(shape) - 1))
    np.testing.assert_allclose(layer.moving_variance, values.var(axes), rtol=1e-4)


@pytest.mark.parametrize("compiled", IN_XLA)
def test_a_frozen_layer_uses_the_moving_statistics_and_keeps_them(compiled):
    layer = built((4, 3))
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([4.0, 4.0, 1.0])
    layer.trainable = False
    x = RANDOM.normal(size=(4, 3)).astype(np.float32)

    expected = (x - [1.0, 2.0, 3.0]) / np.sqrt(np.array([4.0, 4.0, 1.0]) + 1e-5)
    np.testing.assert_allclose(in_training(layer, compiled)(x), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean, [1, 2, 3])


def test_momentum_and_epsilon_are_what_a_recipe_says():
    layer = batch_normalization("norm", momentum=0.99, epsilon=1e-3)
    x = RANDOM.normal(5, 0.1, (64, 3)).astype(np.float32)

    np.testing.assert_allclose(layer(x, training=True), normalised(x, 1e-3), atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.99 + 0.01 * x.var(0), rtol=1e-5)


def test_weights_are_those_of_kerass_layer_by_name_and_order(tmp_path):
    def network(layer):
        return keras.Sequential([keras.Input((4, 4, 3)), layer], name="network")

    published = network(keras.layers.BatchNormalization(synchronized=True, name="norm"))
    for weight in published.weights:
        weight.assign(RANDOM.uniform(1, 2, weight.shape))
    ours = network(batch_normalization("norm"))
    assert [one.path for one in ours.weights] == [one.path for one in published.weights]

    path = tf.train.Checkpoint(model=published).save(tmp_path / "checkpoint")
    tf.train.Checkpoint(model=ours).restore(path).assert_consumed()

    for one, other in zip(ours.weights, published.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_keras_has_the_same_layer():
    ours = batch_normalization("norm", momentum=0.5, epsilon=1e-4, affine=False)
    theirs = as_keras_layer(ours)

    assert type(theirs) is keras.layers.BatchNormalization
    x = RANDOM.normal(size=(8, 3)).astype(np.float32)
    for training in (True, False):
        np.testing.assert_allclose(
            ours(x, training=training), theirs(x, training=training), atol=1e-5
        )
