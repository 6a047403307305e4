"""Random resized crops of a batch of images, with horizontal flips."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.geometry.resample import resample
from twofold.components.transforms.ranges import check_number, check_span


@dataclasses.dataclass(frozen=True)
class CropRanges:
    """Ranges of a random resized crop.

    Attributes:
        area: share of the image's area, uniform in [area[0], area[1]].
        aspect: width over height, both as shares of the image's sides, in [aspect[0], aspect[1]]; a
            crop never leaves the image, so that extreme shapes of large crops are cut to the
            image's side.
        flip: whether half of the crops are mirrored left to right.
        aspect_scale: "log" draws aspects log-uniformly, so that upright crops are as frequent as
            lying ones; "linear" uniformly, as keras-cv does.

    """

    area: tuple[float, float]
    aspect: tuple[float, float]
    flip: bool = True
    aspect_scale: Literal["log", "linear"] = "log"

    def __post_init__(self) -> None:
        check_span("area", self.area, low=1e-4, high=1.0)
        check_span("aspect", self.aspect, low=1e-2, high=1e2)


@dataclasses.dataclass(frozen=True)
class WindowRanges:
    """Ranges of a crop of the image's own shape.

    Attributes:
        side: share of both sides, uniform in [side[0], side[1]].
        whole_pixels: whether sides and positions are whole pixels, as of a crop that is cut out
            before it is resized; the sides are then uniform over the whole numbers in the range.
        flip_probability: how likely a crop is mirrored left to right.

    """

    side: tuple[float, float]
    whole_pixels: bool = False
    flip_probability: float = 0.5

    def __post_init__(self) -> None:
        check_span("side", self.side, low=1e-2, high=1.0)
        check_number("flip_probability", self.flip_probability, high=1.0)


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
    if ranges.aspect_scale == "linear":
        low, high = ranges.aspect
        root_aspect = tf.sqrt(low + (high - low) * draws[:, 1])
    else:
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


def sample_window(keys: tf.Tensor, ranges: WindowRanges, height: int, width: int) -> CropParameters:
    """Draws one box for each key, evenly over all positions within the image.

    Args:
        keys: uint32 [B].
        ranges: what to draw from.
        height: image height in pixels.
        width: image width in pixels.

    """
    draws = keyed_random.uniform(keys, 4)
    low, high = ranges.side

    def interval(draw_side: tf.Tensor, draw_place: tf.Tensor, side: int) -> list[tf.Tensor]:
        """Returns the start and the length along one axis, as shares of it."""
        if not ranges.whole_pixels:
            length = low + (high - low) * draw_side
            return [draw_place * (1.0 - length), length]
        fewest, most = max(1, round(low * side)), max(1, round(high * side))
        length = fewest + tf.floor(draw_side * (most - fewest + 1))
        return [tf.floor(draw_place * (side - length + 1.0)) / side, length / side]

    top, box_height = interval(draws[:, 0], draws[:, 1], height)
    left, box_width = interval(draws[:, 0], draws[:, 2], width)
    return CropParameters(
        top=top,
        left=left,
        height=box_height,
        width=box_width,
        flip=draws[:, 3] < ranges.flip_probability,
    )


def apply_crop(images: tf.Tensor, parameters: CropParameters, side: int | None = None) -> tf.Tensor:
    """Cuts each box out and resizes it bilinearly, without antialiasing.

    Args:
        images: float32 [B, H, W, C].
        parameters: one box for each image.
        side: height and width of the result in pixels; None for the image's own.

    Returns:
        float32 [B, H, W, C], or [B, side, side, C].

    """
    height, width = images.shape[1:3]
    rows = _source_positions(parameters.top, parameters.height, height, side or height)
    columns = _source_positions(parameters.left, parameters.width, width, side or width)
    columns = tf.where(parameters.flip[:, None], columns[:, ::-1], columns)
    return resample(images, rows, columns)


def _source_positions(start: tf.Tensor, length: tf.Tensor, side: int, pixels: int) -> tf.Tensor:
    """Returns float32 [B, pixels]: where each output pixel comes from, in pixels of the side."""
    output = (tf.range(pixels, dtype=tf.float32) + 0.5) * (side / pixels)
    # Without a division by the side, which would round, the whole image maps to itself exactly.
    return start[:, None] * side + length[:, None] * output - 0.5
