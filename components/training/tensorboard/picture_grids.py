"""Picture grids for TensorBoard: images beside each other, and matrices as heat maps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from twofold.components.training.method import Picture

# Pixels of an image, or of a matrix, at least.
_SIDE = 64
_MATRIX = 384
_GAP = 2


def draw_picture(picture: Picture) -> NDArray[np.uint8]:
    """Draws what a method shows, as uint8 [H, W, 3]: originals above, patches in a square."""
    if picture.originals is None:
        largest = np.abs(picture.images).max(axis=(1, 2, 3), keepdims=True)
        patches = _as_bytes(0.5 + picture.images / np.maximum(2 * largest, 1e-12))
        columns = math.ceil(math.sqrt(len(patches)))
        rows = [patches[start : start + columns] for start in range(0, len(patches), columns)]
    else:
        rows = [picture.originals, _as_bytes(picture.images)]
    return _grid(rows)


def draw_matrix(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Draws a matrix of values in [-1, 1] as uint8 [H, W, 3]: blue, white at 0, red."""
    strength = np.clip(np.abs(values), 0, 1)[..., None]
    red, blue = np.array([178, 24, 43]), np.array([33, 102, 172])
    colour = np.where(values[..., None] > 0, red, blue)
    pixels = np.rint(255 + strength * (colour - 255)).astype(np.uint8)
    return _enlarged(pixels, _MATRIX)


def _grid(rows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    columns = max(map(len, rows))
    enlarged = [[_enlarged(_in_colour(one), _SIDE) for one in row] for row in rows]
    heights = [max(one.shape[0] for one in row) + _GAP for row in enlarged]
    width = max(one.shape[1] for row in enlarged for one in row) + _GAP
    sheet = np.full((sum(heights), columns * width, 3), 255, np.uint8)
    top = 0
    for row, height in zip(enlarged, heights, strict=True):
        for column, one in enumerate(row):
            left = column * width
            sheet[top : top + one.shape[0], left : left + one.shape[1]] = one
        top += height
    return sheet


def _as_bytes(images: NDArray[np.floating]) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
    return pixels


def _in_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def _enlarged(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    times = max(1, side // max(image.shape[:2]))
    return image.repeat(times, axis=0).repeat(times, axis=1)
