"""Solarisation: the bright part of an image as its negative."""

from __future__ import annotations

import tensorflow as tf


def solarise(images: tf.Tensor, threshold: float = 0.5) -> tf.Tensor:
    """Inverts what is at least ``threshold``, in the image's own range: x becomes 1 - x.

    Some public code compares images in [0, 1] with a threshold made for bytes, and so never
    inverts anything.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        threshold: in [0, 1]; 1 inverts white only.

    Returns:
        float32 [B, H, W, C].

    """
    return tf.where(images < threshold, images, 1.0 - images)
