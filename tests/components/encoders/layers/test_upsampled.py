"""Upsampling and a transposed convolution in one layer equal the two."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.layers.upsampled import UpsampledConv2DTranspose


@pytest.mark.parametrize(
    ("size", "height", "width", "inputs", "outputs"),
    [(1, 3, 4, 2, 3), (3, 2, 5, 1, 1), (5, 4, 3, 3, 2), (7, 1, 1, 2, 1)],
)
def test_it_equals_upsampling_then_a_transposed_convolution(
    size: int, height: int, width: int, inputs: int, outputs: int
) -> None:
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(2, height, width, inputs)))
    plain = keras.layers.Conv2DTranspose(outputs, size, dtype="float64")
    fused = UpsampledConv2DTranspose(outputs, size, dtype="float64")
    upsampled = tf.repeat(tf.repeat(images, 2, axis=1), 2, axis=2)
    plain(upsampled)
    fused(images)
    weights = [random.normal(size=value.shape) for value in plain.get_weights()]
    plain.set_weights(weights)
    fused.set_weights(weights)

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        expected = plain(tf.repeat(tf.repeat(images, 2, axis=1), 2, axis=2))
        received = fused(images)
        targets = tf.reduce_sum(expected**2), tf.reduce_sum(received**2)

    assert fused.compute_output_shape(images.shape) == tuple(received.shape)
    np.testing.assert_allclose(received, expected, rtol=1e-12, atol=1e-12)
    for one, other in (
        (images, images),
        (plain.kernel.value, fused.kernel.value),
        (plain.bias.value, fused.bias.value),
    ):
        np.testing.assert_allclose(
            tape.gradient(targets[1], other), tape.gradient(targets[0], one), rtol=1e-10
        )


def test_one_pixel_spreads_its_weight_over_the_block_that_it_becomes() -> None:
    layer = UpsampledConv2DTranspose(1, 3, use_bias=True)
    layer(tf.ones([1, 1, 1, 1]))
    layer.set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])

    # Two pixels in a row, each spread over three: 1, 2, 2, 1, and likewise in the other direction.
    expected = np.outer([1, 2, 2, 1], [1, 2, 2, 1])
    np.testing.assert_array_equal(layer(tf.ones([1, 1, 1, 1]))[0, :, :, 0], expected)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd, received 4"):
        UpsampledConv2DTranspose(1, 4)
