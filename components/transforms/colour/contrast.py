"""Random contrast of a batch of images, one factor for each image."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components.transforms.ranges import check_number, uniform_factor


@dataclasses.dataclass(frozen=True)
class ContrastRanges:
    """Factors are uniform in [max(0, 1 - strength), 1 + strength]."""

    strength: float = 0.8

    def __post_init__(self) -> None:
        check_number("strength", self.strength)


def sample_contrast(keys: tf.Tensor, ranges: ContrastRanges) -> tf.Tensor:
    """Draws one factor for each key (uint32 [B]), float32 [B]."""
    return uniform_factor(keys, ranges.strength)


def apply_contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Spreads each channel of each image about its mean: ``mean + factor * (x - mean)``.

    Every channel keeps its own mean, as with ``tf.image.adjust_contrast``; torchvision takes one
    mean of the grey image.

    Args:
        images: float32 [B, H, W, C].
        factor: float32 [B].

    Returns:
        float32 [B, H, W, C], not clipped: a policy clips where its source does.

    """
    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    return mean + factor[:, None, None, None] * (images - mean)
