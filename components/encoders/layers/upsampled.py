"""Transposed convolution with upsampling in one layer, for the price of neither."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from twofold.components.errors import SettingsError


class UpsampledConv2DTranspose(keras.layers.Conv2DTranspose):
    """Repeats each pixel 2x2 and applies a transposed convolution of odd size k, stride 1.

    Both together equal one convolution of the map as it was, whose output channels are the four
    pixels of each 2x2 block (Shi et al., 2016, "Real-Time Single Image and Video Super-Resolution
    Using an Efficient Sub-Pixel Convolutional Neural Network"): pixels that are repeated are
    multiplied once by the sum of their weights, (k + 1)^2 / 4 products an output pixel instead of
    k^2. The weights are those of ``Conv2DTranspose``, [k, k, out, in] and [out].

    Maps [B, H, W, C], channels last, to [B, 2H + k - 1, 2W + k - 1, filters].
    """

    def __init__(self, filters: int, kernel_size: int, **settings: Any) -> None:
        """Takes the arguments of ``Conv2DTranspose`` but for strides and padding.

        Raises:
            SettingsError: if the kernel's size is even.

        """
        if kernel_size % 2 == 0:
            raise SettingsError(f"kernel_size must be odd, received {kernel_size}")
        super().__init__(filters, kernel_size, data_format="channels_last", **settings)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Applies the layer."""
        kernel = _blocks(tf.convert_to_tensor(self.kernel))
        border = (self.kernel_size[0] - 1) // 2
        padded = tf.pad(inputs, [[0, 0], [border, border], [border, border], [0, 0]])
        x = tf.nn.depth_to_space(tf.nn.conv2d(padded, kernel, 1, "VALID"), 2)
        return self.activation(tf.nn.bias_add(x, tf.convert_to_tensor(self.bias)))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of what the layer gives."""
        batch, height, width, _ = input_shape
        added = self.kernel_size[0] - 1
        sides = (None if side is None else 2 * side + added for side in (height, width))
        return (batch, *sides, self.filters)


def _blocks(kernel: tf.Tensor) -> tf.Tensor:
    """Turns weights [k, k, out, in] into [(k + 1) / 2, (k + 1) / 2, in, 4 out], block by block."""
    size, _, outputs, inputs = kernel.shape
    # A transposed convolution is a convolution of the padded map with the kernel turned around.
    turned = tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])
    half = (size + 1) // 2
    phases = []
    for row in range(2):
        for column in range(2):
            shifted = tf.pad(turned, [[row, 1 - row], [column, 1 - column], [0, 0], [0, 0]])
            pairs = tf.reshape(shifted, [half, 2, half, 2, inputs, outputs])
            phases.append(tf.reduce_sum(pairs, axis=[1, 3]))
    return tf.concat(phases, axis=-1)
