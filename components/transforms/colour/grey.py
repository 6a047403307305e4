"""Grey images, and random saturation as a blend with them, one factor for each image.

An image of one channel is grey already, and comes back as it is.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components.errors import SettingsError
from twofold.components.transforms.ranges import check_number, uniform_factor

# The luma of ITU-R BT.601, section 2.5.1.
_LUMA = (0.299, 0.587, 0.114)


def check_channels(images: tf.Tensor) -> None:
    """Refuses images that are neither grey nor red, green and blue.

    Raises:
        SettingsError: if ``images`` [B, H, W, C] has neither 1 nor 3 channels.

    """
    if images.shape[-1] not in (1, 3):
        raise SettingsError(
            "colour is defined for images of 1 channel (grey) or 3 (red, green, blue), received "
            f"{images.shape[-1]} channels"
        )


def to_grey(images: tf.Tensor) -> tf.Tensor:
    """Gives every channel the luma of ITU-R BT.601: 0.299 red + 0.587 green + 0.114 blue.

    Args:
        images: float32 [B, H, W, C], C 1 or 3.

    Returns:
        float32 [B, H, W, C].

    Raises:
        SettingsError: if there are neither 1 nor 3 channels.

    """
    check_channels(images)
    if images.shape[-1] == 1:
        return images
    luma = sum(weight * images[..., channel : channel + 1] for channel, weight in enumerate(_LUMA))
    return tf.broadcast_to(luma, tf.shape(images))


@dataclasses.dataclass(frozen=True)
class SaturationRanges:
    """Factors are uniform in [max(0, 1 - strength), 1 + strength]."""

    strength: float = 0.8

    def __post_init__(self) -> None:
        check_number("strength", self.strength)


def sample_saturation(keys: tf.Tensor, ranges: SaturationRanges) -> tf.Tensor:
    """Draws one factor for each key (uint32 [B]), float32 [B]."""
    return uniform_factor(keys, ranges.strength)


def apply_saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Moves each image away from its grey one, or towards it: ``grey + factor * (x - grey)``.

    Torchvision's form, which keeps the luma; see ``scale_saturation`` for TensorFlow's.

    Args:
        images: float32 [B, H, W, C], C 1 or 3.
        factor: float32 [B].

    Returns:
        float32 [B, H, W, C], not clipped: a policy clips where its source does.

    Raises:
        SettingsError: if there are neither 1 nor 3 channels.

    """
    grey = to_grey(images)
    return grey + factor[:, None, None, None] * (images - grey)


def scale_saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the saturation of HSV and keeps hue and value, as ``tf.image.adjust_saturation``.

    The saturation is ``1 - least / value`` of a pixel's channels, the value its largest channel;
    what the factor makes of it is clipped to [0, 1]. A negative channel beside a positive one thus
    becomes 0 at least, and a pixel without a positive channel grey, of its value.

    Args:
        images: float32 [B, H, W, C], C 1 or 3; values outside [0, 1] are allowed.
        factor: float32 [B].

    Returns:
        float32 [B, H, W, C].

    Raises:
        SettingsError: if there are neither 1 nor 3 channels.

    """
    check_channels(images)
    if images.shape[-1] == 1:
        return images
    value = tf.reduce_max(images, axis=-1, keepdims=True)
    chroma = value - tf.reduce_min(images, axis=-1, keepdims=True)
    saturation = tf.where(value > 0.0, tf.math.divide_no_nan(chroma, value), 0.0)
    scaled = tf.clip_by_value(saturation * factor[:, None, None, None], 0.0, 1.0)
    # The distance of each channel from the largest, as a share of that of the least.
    distances = tf.math.divide_no_nan(value - images, chroma)
    return value - distances * scaled * value
