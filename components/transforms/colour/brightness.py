"""Random brightness of a batch of images, as a shift or as a factor, one for each image.

The two are different augmentations that share a name: TensorFlow's and Keras's brightness adds a
number, torchvision's multiplies with one.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.ranges import check_number, uniform_factor


@dataclasses.dataclass(frozen=True)
class BrightnessShiftRanges:
    """Shifts are uniform in [-shift, shift], as a share of the range from black to white."""

    shift: float

    def __post_init__(self) -> None:
        check_number("shift", self.shift, high=1.0)


def sample_brightness_shift(keys: tf.Tensor, ranges: BrightnessShiftRanges) -> tf.Tensor:
    """Draws one shift for each key (uint32 [B]), float32 [B]."""
    return ranges.shift * (2.0 * keyed_random.uniform(keys, 1)[:, 0] - 1.0)


def apply_brightness_shift(images: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Adds each image's shift to all its values.

    Args:
        images: float32 [B, H, W, C].
        shift: float32 [B].

    Returns:
        float32 [B, H, W, C], not clipped: a policy clips where its source does.

    """
    return images + shift[:, None, None, None]


@dataclasses.dataclass(frozen=True)
class BrightnessFactorRanges:
    """Factors are uniform in [max(0, 1 - strength), 1 + strength]."""

    strength: float

    def __post_init__(self) -> None:
        check_number("strength", self.strength)


def sample_brightness_factor(keys: tf.Tensor, ranges: BrightnessFactorRanges) -> tf.Tensor:
    """Draws one factor for each key (uint32 [B]), float32 [B]."""
    return uniform_factor(keys, ranges.strength)


def apply_brightness_factor(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies all values of each image with its factor.

    Args:
        images: float32 [B, H, W, C].
        factor: float32 [B].

    Returns:
        float32 [B, H, W, C], not clipped: a policy clips where its source does.

    """
    return images * factor[:, None, None, None]
