"""Random resized crops with horizontal flips, as two matrix products.

A crop that is resized back to the image's size is linear and separable: ``rows @ image @
columns^T``, with one interpolation matrix for each axis and image. Unlike TensorFlow's
CropAndResize it compiles under XLA.
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from components import keyed_random


@dataclasses.dataclass(frozen=True)
class CropRanges:
    """Ranges of a random resized crop.

    Attributes:
        area: share of the image's area, uniform in [area[0], area[1]].
        aspect: width over height, both as shares of the image's sides, log-uniform in [aspect[0],
            aspect[1]]; a crop never leaves the image, so that extreme shapes of large crops are cut
            to the image's side.
        flip: whether half of the crops are mirrored left to right.

    """

    area: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True


@dataclasses.dataclass(frozen=True)
class CropParameters:
    """A box for each image as shares of the sides; float32 [B] each, ``flip`` is bool [B]."""

    top: tf.Tensor
    left: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    flip: tf.Tensor


def sample_crop(keys: tf.Tensor, ranges: CropRanges) -> CropParameters:
    """Draws one box for each key (uint32 [B]), as Szegedy et al. (2015), section 6, do."""
    draws = keyed_random.uniform(keys, 5)
    area = ranges.area[0] + (ranges.area[1] - ranges.area[0]) * draws[:, 0]
    low, high = math.log(ranges.aspect[0]), math.log(ranges.aspect[1])
    root_aspect = tf.exp(0.5 * (low + (high - low) * draws[:, 1]))
    height = tf.minimum(tf.sqrt(area) / root_aspect, 1.0)
    width = tf.minimum(tf.sqrt(area) * root_aspect, 1.0)
    return CropParameters(
        top=draws[:, 2] * (1.0 - height),
        left=draws[:, 3] * (1.0 - width),
        height=height,
        width=width,
        flip=tf.logical_and(draws[:, 4] < 0.5, ranges.flip),
    )


def apply_crop(images: tf.Tensor, parameters: CropParameters) -> tf.Tensor:
    """Cuts each box out and resizes it bilinearly to the image's own size, without antialiasing.

    Args:
        images: float32 [B, H, W, C].
        parameters: one box for each image.

    Returns:
        float32 [B, H, W, C].

    """
    height, width = images.shape[1:3]
    rows = _interpolation_matrix(parameters.top, parameters.height, height)
    columns = _interpolation_matrix(parameters.left, parameters.width, width)
    columns = tf.where(parameters.flip[:, None, None], columns[:, ::-1], columns)
    # Channels are folded into the free axis, so that each axis is one batched product.
    images = tf.einsum("bij,bjwc->biwc", rows, images)
    return tf.einsum("bkw,biwc->bikc", columns, images)


def _interpolation_matrix(start: tf.Tensor, length: tf.Tensor, side: int) -> tf.Tensor:
    """Returns float32 [B, side, side]: row i weighs the source pixels of output pixel i."""
    output = tf.range(side, dtype=tf.float32) + 0.5
    # Without a division by the side, which would round, the whole image maps to itself exactly.
    source = start[:, None] * side + length[:, None] * output[None, :] - 0.5
    source = tf.clip_by_value(source, 0.0, side - 1.0)
    pixel = tf.range(side, dtype=tf.float32)[None, None, :]
    return tf.maximum(0.0, 1.0 - tf.abs(source[:, :, None] - pixel))
