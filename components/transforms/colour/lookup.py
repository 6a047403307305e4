"""Point operations on 8-bit images, as one table of 256 values for each image and channel.

The values are those of Pillow's ``ImageOps``. A table costs as little as its 256 entries, so that
several operations can be tabulated for a whole batch and each image then looked up once.
"""

from __future__ import annotations

import tensorflow as tf

LEVELS = 256


def identity_tables(pixels: tf.Tensor) -> tf.Tensor:
    """Returns the tables, int32 [B, C, 256], that leave int32 [B, H, W, C] as it is."""
    batch, channels = tf.shape(pixels)[0], pixels.shape[-1]
    return tf.broadcast_to(tf.range(LEVELS), [batch, channels, LEVELS])


def autocontrast_tables(pixels: tf.Tensor) -> tf.Tensor:
    """Stretches each channel's darkest value to 0 and its lightest to 255, rounding down.

    A channel of one value is left as it is.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255].

    Returns:
        int32 [B, C, 256] in [0, 255].

    """
    darkest = tf.reduce_min(pixels, axis=[1, 2])[..., None]
    lightest = tf.reduce_max(pixels, axis=[1, 2])[..., None]
    spread = lightest - darkest
    stretched = (tf.range(LEVELS) - darkest) * 255 // tf.maximum(spread, 1)
    return tf.where(spread > 0, tf.clip_by_value(stretched, 0, 255), identity_tables(pixels))


def equalise_tables(pixels: tf.Tensor) -> tf.Tensor:
    """Evens out each channel's histogram.

    With h the histogram, s = (sum(h) - h[lightest]) // 255 pixels go to one output value, and the
    value v becomes (s // 2 + h[0] + ... + h[v - 1]) // s. A channel with s = 0 is left as it is.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255].

    Returns:
        int32 [B, C, 256] in [0, 255].

    """
    histograms = _histograms(pixels)
    lightest = tf.reduce_max(pixels, axis=[1, 2])[..., None]
    share = tf.gather(histograms, lightest, batch_dims=2)
    below = tf.cumsum(histograms, axis=-1, exclusive=True)
    step = (pixels.shape[1] * pixels.shape[2] - share) // 255
    evened = (step // 2 + below) // tf.maximum(step, 1)
    return tf.where(step > 0, tf.minimum(evened, 255), identity_tables(pixels))


def solarise_tables(pixels: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """Inverts values from the threshold on.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255].
        thresholds: float32 [B] in [0, 256].

    Returns:
        int32 [B, C, 256] in [0, 255].

    """
    values = identity_tables(pixels)
    return tf.where(
        tf.cast(values, tf.float32) < thresholds[:, None, None], values, LEVELS - 1 - values
    )


def posterise_tables(pixels: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the highest bits of each value and zeroes the others.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255].
        bits: int32 [B] in [0, 8].

    Returns:
        int32 [B, C, 256] in [0, 255].

    """
    dropped = tf.bitwise.left_shift(1, 8 - bits)[:, None, None] - 1
    return tf.bitwise.bitwise_and(identity_tables(pixels), tf.bitwise.invert(dropped))


def apply_tables(pixels: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Replaces each value by its entry in its image's and channel's table.

    Args:
        pixels: int32 [B, H, W, C] in [0, 255].
        tables: int32 [B, C, 256].

    Returns:
        int32 [B, H, W, C].

    """
    return tf.gather(tf.reshape(tables, [-1]), _entries(pixels))


def _histograms(pixels: tf.Tensor) -> tf.Tensor:
    """Counts values: int32 [B, H, W, C] to int32 [B, C, 256]."""
    batch, channels = tf.shape(pixels)[0], pixels.shape[-1]
    entries = _entries(pixels)
    counts = tf.math.unsorted_segment_sum(tf.ones_like(entries), entries, batch * channels * LEVELS)
    return tf.reshape(counts, [batch, channels, LEVELS])


def _entries(pixels: tf.Tensor) -> tf.Tensor:
    """Returns where each pixel's entry stands in flattened [B, C, 256] tables."""
    batch, channels = tf.shape(pixels)[0], pixels.shape[-1]
    first = tf.reshape(tf.range(batch * channels) * LEVELS, [batch, 1, 1, channels])
    return first + pixels
