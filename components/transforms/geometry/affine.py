"""Random rotation, translation and scaling of a batch of images, one draw for each image."""

from __future__ import annotations

import dataclasses
import functools
import math

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.errors import SettingsError


@dataclasses.dataclass(frozen=True)
class AffineRanges:
    """Ranges of a random affine map.

    Attributes:
        rotation_degrees: angles are uniform in [-rotation_degrees, rotation_degrees].
        translation: shifts are uniform in [-translation, translation], as a share of the side, each
            axis on its own.
        scale: magnifications are uniform in [scale[0], scale[1]].
        border: what lies outside the image: "zero", or "wrap" for the opposite side (the image as a
            torus).
        interpolation: "bilinear", or "nearest", torchvision's default, which keeps binary images
            binary.

    """

    rotation_degrees: float
    translation: float
    scale: tuple[float, float]
    border: str
    interpolation: str


@dataclasses.dataclass(frozen=True)
class AffineParameters:
    """One map for each image: angle [B] in radians, shift [B, 2] (x, y) in pixels, scale [B]."""

    angle: tf.Tensor
    shift: tf.Tensor
    scale: tf.Tensor


def sample_affine(
    keys: tf.Tensor, ranges: AffineRanges, height: int, width: int
) -> AffineParameters:
    """Draws one map for each key.

    Shifts are whole pixels, as in torchvision's ``RandomAffine``, which recipe E uses.

    Args:
        keys: uint32 [B].
        ranges: what to draw from.
        height: image height in pixels.
        width: image width in pixels.

    """
    draws = keyed_random.uniform(keys, 4)
    radians = math.radians(ranges.rotation_degrees)
    low, high = ranges.scale
    # One product, so that no compiler can order two of them otherwise and round another way.
    reach = tf.constant([ranges.translation * width, ranges.translation * height], tf.float32)
    return AffineParameters(
        angle=(2.0 * draws[:, 0] - 1.0) * radians,
        shift=tf.round((2.0 * draws[:, 1:3] - 1.0) * reach),
        scale=low + (high - low) * draws[:, 3],
    )


def apply_affine(
    images: tf.Tensor,
    parameters: AffineParameters,
    border: str = "zero",
    interpolation: str = "bilinear",
) -> tf.Tensor:
    """Rotates and magnifies about the centre, then shifts.

    Each output pixel p takes the input at R(-angle) (p - centre - shift) / scale + centre. A
    positive angle turns the picture clockwise as seen (rows count downwards).

    Args:
        images: float32 [B, H, W, C].
        parameters: one map for each image.
        border: "zero" or "wrap".
        interpolation: "bilinear" or "nearest".

    Returns:
        float32 [B, H, W, C].

    Raises:
        SettingsError: if ``border`` or ``interpolation`` is neither.

    """
    if border not in ("zero", "wrap"):
        raise SettingsError(f'border must be "zero" or "wrap", received {border!r}')
    if interpolation not in ("bilinear", "nearest"):
        raise SettingsError(
            f'interpolation must be "bilinear" or "nearest", received {interpolation!r}'
        )
    batch = tf.shape(images)[0]
    height, width, channels = images.shape[1:]
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    cosine = (tf.cos(parameters.angle) / parameters.scale)[:, None, None]
    sine = (tf.sin(parameters.angle) / parameters.scale)[:, None, None]
    x_out = tf.range(width, dtype=tf.float32)[None, None, :]
    y_out = tf.range(height, dtype=tf.float32)[None, :, None]
    x_centred = x_out - centre_x - parameters.shift[:, 0, None, None]
    y_centred = y_out - centre_y - parameters.shift[:, 1, None, None]
    x = cosine * x_centred + sine * y_centred + centre_x
    y = cosine * y_centred - sine * x_centred + centre_y
    if interpolation == "nearest":
        x, y = tf.round(x), tf.round(y)

    # One extra row and column on each side holds what lies outside, so that every gather stays in
    # bounds.
    if border == "wrap":
        x, y = tf.math.floormod(x, float(width)), tf.math.floormod(y, float(height))
        images = tf.concat([images[:, -1:], images, images[:, :1]], axis=1)
        images = tf.concat([images[:, :, -1:], images, images[:, :, :1]], axis=2)
    else:
        images = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
    x = tf.clip_by_value(x + 1.0, 0.0, width + 1.0)
    y = tf.clip_by_value(y + 1.0, 0.0, height + 1.0)
    stride = width + 2
    flat = tf.reshape(images, [batch, (height + 2) * stride, channels])

    def pixels(x: tf.Tensor, y: tf.Tensor, offset: int = 0) -> tf.Tensor:
        index = tf.cast(y, tf.int32) * stride + tf.cast(x, tf.int32) + offset
        values = tf.gather(flat, tf.reshape(index, [batch, height * width]), batch_dims=1)
        return tf.reshape(values, [batch, height, width, channels])

    if interpolation == "nearest":
        return pixels(x, y)
    # On the outermost line the neighbour beyond it is missing, and its own share is 1.
    x_floor, y_floor = tf.minimum(tf.floor(x), width), tf.minimum(tf.floor(y), height)
    x_share, y_share = (x - x_floor)[..., None], (y - y_floor)[..., None]
    neighbour = functools.partial(pixels, x_floor, y_floor)
    top = neighbour(0) * (1.0 - x_share) + neighbour(1) * x_share
    bottom = neighbour(stride) * (1.0 - x_share) + neighbour(stride + 1) * x_share
    return top * (1.0 - y_share) + bottom * y_share
