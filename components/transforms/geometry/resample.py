"""Bilinear sampling of images along rows and columns, each image at positions of its own.

A flip, a shift, a zoom and a crop each move rows and columns on their own, so any chain of them
is one map of rows and one of columns, and one sampling. Two gathers of two neighbours each
compile under XLA, unlike TensorFlow's CropAndResize and ImageProjectiveTransformV3, and cost
less than products with interpolation matrices, which are nearly empty.
"""

from __future__ import annotations

import tensorflow as tf


def resample(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Reads each image at ``rows x columns``, bilinearly.

    Args:
        images: float32 [B, H, W, C].
        rows: float32 [B, h], the source row of each row of the result, in pixels: 0.0 is the
            centre of the first row. What lies outside [0, H - 1] takes the nearest row.
        columns: float32 [B, w], likewise for the columns.

    Returns:
        float32 [B, h, w, C].

    """
    return _interpolated(_interpolated(images, rows, axis=1), columns, axis=2)


def reflected(positions: tf.Tensor, side: int) -> tf.Tensor:
    """Folds positions outside an axis back into it, mirrored about the outer edge of its pixels.

    Pixels a b c then continue as ``c b a | a b c | c b a``, which Keras and TensorFlow's image ops
    call "reflect" and NumPy "symmetric".

    Args:
        positions: float32, of any shape, in pixels.
        side: length of the axis in pixels.

    Returns:
        float32 of the same shape, in [-0.5, side - 0.5].

    """
    # XLA calls a slow function for each remainder, and has an instruction for the floor.
    period = 2.0 * side
    folded = positions + 0.5
    folded -= period * tf.floor(folded / period)
    return tf.minimum(folded, period - folded) - 0.5


def _interpolated(images: tf.Tensor, positions: tf.Tensor, axis: int) -> tf.Tensor:
    side = images.shape[axis]
    positions = tf.clip_by_value(positions, 0.0, side - 1.0)
    # The last pixel is reached with a share of 1 from the one before it: both taps stay inside.
    first = tf.minimum(tf.floor(positions), max(side - 2.0, 0.0))
    share = positions - first
    share = share[:, :, None, None] if axis == 1 else share[:, None, :, None]
    near = tf.cast(first, tf.int32)
    far = tf.minimum(near + 1, side - 1)
    return (
        tf.gather(images, near, axis=axis, batch_dims=1) * (1.0 - share)
        + tf.gather(images, far, axis=axis, batch_dims=1) * share
    )
