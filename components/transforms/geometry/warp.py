"""Affine maps of 8-bit images in integer arithmetic, which takes the same pixel in any execution.

Source coordinates are fixed-point numbers of 16 fractional bits, as in Pillow's transform. With
floats, a compiler's fused multiply-add could move a source across the border of two pixels.
"""

from __future__ import annotations

import tensorflow as tf

_FRACTION_BITS = 16


def warp_nearest(pixels: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Takes each output pixel from the input pixel that its centre maps to; outside is 0.

    With (a, b, c, d, e, f) the row of an image, the centre (x, y) of an output pixel maps to
    (a x + b y + c, d x + e y + f) in the input. Coordinates are in pixels from the top left corner
    of the image, so that centres lie at halves.

    Args:
        pixels: int32 [B, H, W, C], H + W < 16,384 if no factor is above 1.
        matrices: float64 [B, 6], the map from output to input.

    Returns:
        int32 [B, H, W, C].

    """
    batch = tf.shape(pixels)[0]
    height, width, channels = pixels.shape[1:]
    a, b, c, d, e, f = tf.unstack(matrices, axis=1)
    x_out = tf.range(width)[None, None, :]
    y_out = tf.range(height)[None, :, None]
    x = _fixed(a) * x_out + _fixed(b) * y_out + _fixed(c + 0.5 * (a + b))
    y = _fixed(d) * x_out + _fixed(e) * y_out + _fixed(f + 0.5 * (d + e))
    # An arithmetic shift rounds down, below zero too.
    x = tf.bitwise.right_shift(x, _FRACTION_BITS)
    y = tf.bitwise.right_shift(y, _FRACTION_BITS)

    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    index = tf.where(inside, y * width + x, 0)
    taken = tf.gather(
        tf.reshape(pixels, [batch, height * width, channels]),
        tf.reshape(index, [batch, height * width]),
        batch_dims=1,
    )
    taken = tf.reshape(taken, [batch, height, width, channels])
    return tf.where(inside[..., None], taken, 0)


def _fixed(number: tf.Tensor) -> tf.Tensor:
    """Turns float64 [B] into fixed-point int32 [B, 1, 1]."""
    return tf.cast(tf.floor(number * 2.0**_FRACTION_BITS + 0.5), tf.int32)[:, None, None]
