"""Random hue of a batch of images, one turn of the colour circle for each image."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.colour.grey import check_channels
from twofold.components.transforms.ranges import check_number


@dataclasses.dataclass(frozen=True)
class HueRanges:
    """Turns are uniform in [-turn, turn], as a share of the whole circle; at most 0.5."""

    turn: float = 0.2

    def __post_init__(self) -> None:
        check_number("turn", self.turn, high=0.5)


def sample_hue(keys: tf.Tensor, ranges: HueRanges) -> tf.Tensor:
    """Draws one turn for each key (uint32 [B]), float32 [B]."""
    return ranges.turn * (2.0 * keyed_random.uniform(keys, 1)[:, 0] - 1.0)


def apply_hue(images: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Turns the hue of HSV and keeps the saturation and the value, as ``tf.image.adjust_hue``.

    A grey pixel stays as it is. Values outside [0, 1] are allowed: only the differences of a
    pixel's channels count.

    Args:
        images: float32 [B, H, W, C], C 1 or 3.
        turn: float32 [B], as a share of the whole circle.

    Returns:
        float32 [B, H, W, C].

    Raises:
        SettingsError: if there are neither 1 nor 3 channels.

    """
    check_channels(images)
    if images.shape[-1] == 1:
        return images
    red, green, blue = (images[..., channel] for channel in range(3))
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    # A grey pixel has no hue, and the chroma of 0 that follows makes any number do.
    divisor = tf.where(chroma > 0.0, chroma, 1.0)
    # In sixths of the circle, counted from the primary colour that is the largest.
    sixths = tf.where(
        tf.equal(value, red),
        (green - blue) / divisor,
        tf.where(
            tf.equal(value, green),
            2.0 + (blue - red) / divisor,
            4.0 + (red - green) / divisor,
        ),
    )
    sixths += 6.0 * turn[:, None, None]

    def channel(place: float) -> tf.Tensor:
        # XLA calls a slow function for each remainder, and has an instruction for the floor.
        distance = sixths + place
        distance -= 6.0 * tf.floor(distance / 6.0)
        return value - chroma * tf.clip_by_value(tf.minimum(distance, 4.0 - distance), 0.0, 1.0)

    return tf.stack([channel(5.0), channel(3.0), channel(1.0)], axis=-1)
