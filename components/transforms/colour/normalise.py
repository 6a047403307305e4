"""Standardisation of the channels with given statistics."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from twofold.components.errors import SettingsError


def normalise(images: tf.Tensor, mean: Sequence[float], std: Sequence[float]) -> tf.Tensor:
    """Subtracts each channel's mean and divides by its standard deviation.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        mean: C numbers, in terms of [0, 1].
        std: C positive numbers, likewise.

    Returns:
        float32 [B, H, W, C], no longer in [0, 1].

    Raises:
        SettingsError: if ``mean`` or ``std`` does not have one number for each channel, or a
            standard deviation is not positive.

    """
    channels = images.shape[-1]
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) != channels:
            raise SettingsError(
                f"{name} must have one number for each of the {channels} channels, "
                f"received {len(numbers)}: {tuple(numbers)}"
            )
    if min(std) <= 0.0:
        raise SettingsError(f"std must be positive in every channel, received {tuple(std)}")
    return (images - tf.constant(mean, tf.float32)) / tf.constant(std, tf.float32)
