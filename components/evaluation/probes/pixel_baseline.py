"""Pixel baseline: images as they are, which any encoder should beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_MOST_SIDE = 32


def pixel_width(image_shape: tuple[int, ...]) -> int:
    """Give D, the numbers that `pixel_features` makes of an image [H, W, C]."""
    height, width, channels = image_shape
    factor = _factor(height, width)
    return -(-height // factor) * -(-width // factor) * channels


def pixel_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flatten images; large ones are first made smaller by whole-number block means.

    Blocks are the least that leave at most 32 pixels a side, so that a linear classifier of the
    pixels stays affordable; those at the right and lower edge may be smaller.

    Args:
        images: uint8 [B, H, W, C].

    Returns:
        float32 [B, D] in [0, 1], row by row, then column by column, then by channel.

    """
    count, height, width, _ = images.shape
    factor = _factor(height, width)
    values = images.astype(np.float32) / 255
    if factor > 1:
        for axis, side in ((1, height), (2, width)):
            starts = np.arange(0, side, factor)
            sizes = np.diff(np.append(starts, side)).astype(np.float32)
            sizes = sizes.reshape([-1 if one == axis else 1 for one in range(4)])
            values = np.add.reduceat(values, starts, axis=axis) / sizes
    flat: NDArray[np.float32] = values.reshape(count, -1).astype(np.float32, copy=False)
    return flat


def _factor(height: int, width: int) -> int:
    return -(-max(height, width) // _MOST_SIDE)
