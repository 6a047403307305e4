"""Horizontal flips of a batch of images, one coin for each image."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.transforms.ranges import check_number


@dataclasses.dataclass(frozen=True)
class FlipRanges:
    """How often an image is mirrored left to right: ``probability`` in [0, 1]."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_number("probability", self.probability, high=1.0)


def sample_flip(keys: tf.Tensor, ranges: FlipRanges) -> tf.Tensor:
    """Draws bool [B], True for the images to mirror, from keys uint32 [B]."""
    return keyed_random.uniform(keys, 1)[:, 0] < ranges.probability


def apply_flip(images: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Mirrors the images [B, H, W, C] whose ``flip`` (bool [B]) is True left to right."""
    return tf.where(flip[:, None, None, None], images[:, :, ::-1], images)
