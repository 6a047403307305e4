"""Enhancements of 8-bit images: each blends an image with a version of it that lacks something.

The values are those of Pillow's ``ImageEnhance``: brightness blends with black, contrast with the
mean grey, colour with the image in grey, sharpness with the smoothed image.
"""

from __future__ import annotations

import tensorflow as tf


def grey(pixels: tf.Tensor) -> tf.Tensor:
    """Returns the luma of ITU-R BT.601, rounded; an image of one channel is its own.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255], C = 1 or 3.

    Returns:
        int32 [B, H, W, 1] in [0, 255].

    """
    if pixels.shape[-1] == 1:
        return pixels
    red, green, blue = tf.split(pixels, 3, axis=-1)
    # The weights .299, .587 and .114 in 16 bits.
    return tf.bitwise.right_shift(red * 19595 + green * 38470 + blue * 7471 + 2**15, 16)


def mean_grey(pixels: tf.Tensor) -> tf.Tensor:
    """Returns the mean of ``grey``, rounded.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255], C = 1 or 3, at most 2**23 pixels an image.

    Returns:
        int32 [B, 1, 1, 1] in [0, 255].

    """
    count = pixels.shape[1] * pixels.shape[2]
    total = tf.reduce_sum(grey(pixels), axis=[1, 2], keepdims=True)
    return (total + count // 2) // count


def smooth(pixels: tf.Tensor, *, rounded: bool = True) -> tf.Tensor:
    """Filters with [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; the border is kept.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255].
        rounded: to the nearest whole number, as in Pillow; otherwise down.

    Returns:
        int32 [B, H, W, C] in [0, 255].

    """
    height, width = pixels.shape[1:3]
    if height < 3 or width < 3:
        return pixels
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    square = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = (square + 4 * pixels[:, 1:-1, 1:-1] + (6 if rounded else 0)) // 13
    middle = tf.concat([pixels[:, 1:-1, :1], inner, pixels[:, 1:-1, -1:]], axis=2)
    return tf.concat([pixels[:, :1], middle, pixels[:, -1:]], axis=1)


def blend(degenerate: tf.Tensor, pixels: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Returns degenerate + factor * (pixels - degenerate), rounded down and clipped.

    Args:
        degenerate: int32 [B, H, W, C] in [0, 255], what a factor of 0 gives.
        pixels: int32 [B, H, W, C] in [0, 255], what a factor of 1 gives; a greater one overshoots.
        factors: float32 [B], not negative.

    Returns:
        int32 [B, H, W, C] in [0, 255].

    """
    start = tf.cast(degenerate, tf.float32)
    way = tf.cast(pixels, tf.float32) - start
    # Factors in hundredths give whole numbers often, and no rounding error may drop them to the
    # number below.
    blended = tf.floor(start + factors[:, None, None, None] * way + 2.0**-10)
    return tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.int32)
