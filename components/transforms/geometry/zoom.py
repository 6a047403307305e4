"""Random flip, translation and zoom of a batch of images, sampled once."""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.geometry.resample import reflected, resample
from twofold.components.transforms.ranges import check_number


@dataclasses.dataclass(frozen=True)
class ZoomRanges:
    """Ranges of recipe A's geometry (keras.io, semi-supervised SimCLR).

    With z = 1 - sqrt(min_area), the shifts of rows and columns are uniform in [-z/2, z/2] of
    their side, and what then remains of each side is uniform in [1 - z, 1], all four drawn on
    their own, as the example's ``RandomTranslation(z / 2, z / 2)`` and ``RandomZoom((-z, 0),
    (-z, 0))`` do: so shapes change too. Half of the images are flipped first.

    Attributes:
        min_area: the smallest share of the image's area that a view shows, in (0, 1].

    """

    min_area: float

    def __post_init__(self) -> None:
        check_number("min_area", self.min_area, high=1.0)


@dataclasses.dataclass(frozen=True)
class ZoomParameters:
    """One map for each image.

    Attributes:
        shift: float32 [B, 2], (down, right) as shares of the height and the width.
        remaining: float32 [B, 2], the share of the height and of the width that is shown.
        flip: bool [B].

    """

    shift: tf.Tensor
    remaining: tf.Tensor
    flip: tf.Tensor


def sample_zoom(keys: tf.Tensor, ranges: ZoomRanges) -> ZoomParameters:
    """Draws one map for each key (uint32 [B])."""
    zoom = 1.0 - math.sqrt(ranges.min_area)
    draws = keyed_random.uniform(keys, 5)
    return ZoomParameters(
        shift=zoom * (draws[:, 0:2] - 0.5),
        remaining=1.0 - zoom * draws[:, 2:4],
        flip=draws[:, 4] < 0.5,
    )


def apply_zoom(images: tf.Tensor, parameters: ZoomParameters) -> tf.Tensor:
    """Flips, shifts, then enlarges about the centre.

    What a shift brings in from outside is the image reflected about its edge, Keras's default.
    Keras resamples the image twice, for the shift and for the zoom; here both are one bilinear
    sampling, which gives the same where the shift is a whole number of pixels and is sharper
    elsewhere.

    Args:
        images: float32 [B, H, W, C].
        parameters: one map for each image.

    Returns:
        float32 [B, H, W, C].

    """
    rows, columns = (
        _source_positions(parameters.shift[:, axis], parameters.remaining[:, axis], side)
        for axis, side in enumerate(images.shape[1:3])
    )
    mirrored = images.shape[2] - 1.0 - columns
    return resample(images, rows, tf.where(parameters.flip[:, None], mirrored, columns))


def _source_positions(shift: tf.Tensor, remaining: tf.Tensor, side: int) -> tf.Tensor:
    """Returns float32 [B, side]: where each output pixel comes from, in pixels."""
    centre = (side - 1) / 2
    output = tf.range(side, dtype=tf.float32) - centre
    positions = remaining[:, None] * output + (centre - shift[:, None] * side)
    return reflected(positions, side)
