"""Random colour changes of a batch of images, one draw for each image."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components import keyed_random


@dataclasses.dataclass(frozen=True)
class ColourRanges:
    """Ranges of the colour affine map of recipe A (keras.io, semi-supervised SimCLR).

    Attributes:
        brightness: a common factor, uniform in [1 - brightness, 1 + brightness].
        jitter: each entry of the C x C matrix that is added, uniform in [-jitter, jitter].

    """

    brightness: float
    jitter: float


def sample_colour(keys: tf.Tensor, ranges: ColourRanges, channels: int) -> tf.Tensor:
    """Draws ``I * u[1-b, 1+b] + u[-j, j]^(C x C)``, float32 [B, C, C], one for each key [B]."""
    draws = 2.0 * keyed_random.uniform(keys, 1 + channels * channels) - 1.0
    factor = 1.0 + ranges.brightness * draws[:, 0]
    jitter = ranges.jitter * tf.reshape(draws[:, 1:], [-1, channels, channels])
    return tf.eye(channels) * factor[:, None, None] + jitter


def apply_colour(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Multiplies each pixel's channels with its image's matrix and clips to [0, 1].

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        matrices: float32 [B, C, C].

    Returns:
        float32 [B, H, W, C] in [0, 1].

    """
    channels = range(images.shape[-1])
    # XLA fuses these sums into one pass over the pixels; a product of matrices it does not.
    mixed = [
        sum(images[..., c] * matrices[:, c, d, None, None] for c in channels) for d in channels
    ]
    return tf.clip_by_value(tf.stack(mixed, axis=-1), 0.0, 1.0)
