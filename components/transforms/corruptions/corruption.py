"""Corruption class, and the filters that several of the common corruptions share.

All arithmetic is NumPy's and SciPy's, in float32, and goes over a whole batch where a formula
allows it. No operation mixes images, so that an image comes out the same in any batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

# Whatever is drawn for an image; stacked, for a batch.
Draws = tuple[np.ndarray, ...]

# The side in pixels that the published lengths are for.
PUBLISHED_SIDE = 32

# Weights of red, green and blue in a grey value (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One kind of corruption, drawing apart from applying.

    Attributes:
        group: noise, blur, weather or digital.
        parameters: those of severity 1 to 5; lengths are in pixels of an image of 32.
        apply: from images uint8 [N, H, W, C], what was drawn for them, and the parameters of a
            severity to float32 [N, H, W, C], in which 0 is black and 1 white and which may lie
            beyond, or to uint8.
        sample: from a generator, an image uint8 [H, W, C] and the parameters to what is random
            about this image; None where nothing is.
        main: whether it is one of the 15 that the benchmark counts.

    """

    group: str
    parameters: tuple[Any, Any, Any, Any, Any]
    apply: Callable[[np.ndarray, Draws, Any], np.ndarray]
    sample: Callable[[np.random.Generator, np.ndarray, Any], Draws] | None = None
    main: bool = True


def to_unit(images: np.ndarray) -> np.ndarray:
    """Maps uint8 [0, 255] to float32 [0, 1]; times 255 and truncated, each is itself again."""
    return images.astype(np.float32) / np.float32(255)


def length_scale(images: np.ndarray) -> float:
    """Returns what lengths are multiplied by: the shorter side of [N, H, W, C] over 32."""
    side: int = min(images.shape[1:3])
    return side / PUBLISHED_SIDE


def to_grey(unit: np.ndarray) -> np.ndarray:
    """Returns the grey values, float32 [N, H, W, 1], of images with 1 or 3 channels."""
    if unit.shape[-1] == 1:
        return unit
    red, green, blue = (unit[..., channel] * _LUMA[channel] for channel in range(3))
    grey: np.ndarray = (red + green + blue)[..., None]
    return grey


def in_channels(colour: tuple[int, int, int], channels: int) -> np.ndarray:
    """Returns an 8-bit colour as float32 [channels] in [0, 1]: itself, or its grey value."""
    unit = np.array(colour, np.float32) / np.float32(255)
    return unit if channels == 3 else (unit * _LUMA).sum(keepdims=True)


def gaussian_filter(
    fields: np.ndarray, sigma: float, *, mode: str = "nearest", truncate: float = 4.0
) -> np.ndarray:
    """Filters the rows and columns of [N, H, W, ...] with a Gaussian, as scikit-image does.

    Args:
        fields: float32, of at least three dimensions.
        sigma: in pixels; 0 leaves all as it is.
        mode: how the image goes on at its border, in SciPy's words.
        truncate: where the Gaussian ends, in sigmas.

    """
    filtered: np.ndarray = ndimage.gaussian_filter(
        fields, sigma, mode=mode, truncate=truncate, axes=(1, 2)
    )
    return filtered


def clipped_zoom(fields: np.ndarray, factor: float) -> np.ndarray:
    """Enlarges the middle of [N, H, W, C] bilinearly and cuts it to the size it had.

    Of each side ceil(side / factor) pixels are enlarged to round(ceil(side / factor) * factor), the
    centres of the outermost ones staying the outermost, as `scipy.ndimage.zoom` does with order 1.

    Args:
        fields: float32 [N, H, W, C].
        factor: at least 1.

    """
    for axis in (1, 2):
        near, share = _zoom_positions(fields.shape[axis], factor)
        share = share.reshape((-1, 1, 1) if axis == 1 else (-1, 1))
        first = np.take(fields, near, axis=axis)
        second = np.take(fields, np.minimum(near + 1, fields.shape[axis] - 1), axis=axis)
        fields = first + (second - first) * share
    return fields


def _zoom_positions(side: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the source pixel of each result, and how far towards the next one it lies."""
    cropped = int(np.ceil(side / factor))
    enlarged = round(cropped * factor)
    offsets = np.arange(side) + (enlarged - side) // 2
    positions = (side - cropped) // 2 + offsets * ((cropped - 1) / max(enlarged - 1, 1))
    near = np.floor(positions).astype(np.intp)
    return near, (positions - near).astype(np.float32)


def bilinear(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Reads each image at positions of its own; beyond the outermost centres the edge goes on.

    Args:
        images: float32 [N, H, W, C].
        rows: float [N, h, w], 0.0 is the centre of the first row.
        columns: likewise.

    Returns:
        float32 [N, h, w, C].

    """
    count, height, width, channels = images.shape
    top, down = np.floor(rows), np.floor(columns)
    down_share = (rows - top).astype(np.float32)[..., None]
    right_share = (columns - down).astype(np.float32)[..., None]
    pixels = images.reshape(-1, channels)
    first = (np.arange(count) * height * width)[:, None, None]

    def read(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        row = np.clip(row, 0, height - 1).astype(np.intp)
        column = np.clip(column, 0, width - 1).astype(np.intp)
        taken: np.ndarray = np.take(pixels, first + row * width + column, axis=0)
        return taken

    upper = read(top, down)
    upper += (read(top, down + 1) - upper) * right_share
    lower = read(top + 1, down)
    lower += (read(top + 1, down + 1) - lower) * right_share
    sampled: np.ndarray = upper + (lower - upper) * down_share
    return sampled


def layer_grid(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the sides of a layer for an image [H, W, ...] whose shorter side has 32 cells."""
    height, width = shape[:2]
    rows, columns = (-(-side * PUBLISHED_SIDE // min(height, width)) for side in (height, width))
    return rows, columns


def stretch(layers: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes layers, float32 [N, h, w, C], made on the grid of `layer_grid`, to their images."""
    if min(height, width) == PUBLISHED_SIDE:
        return layers
    cell = PUBLISHED_SIDE / min(height, width)
    rows, columns = (np.indices((height, width)) + 0.5) * cell - 0.5
    shape = (len(layers), height, width)
    return bilinear(layers, np.broadcast_to(rows, shape), np.broadcast_to(columns, shape))


def mirrored(positions: np.ndarray, side: int) -> np.ndarray:
    """Folds positions back into an axis about the centres of its outermost pixels: c b a b c."""
    period = 2.0 * max(side - 1, 1)
    folded = np.mod(positions, period)
    mirrored: np.ndarray = np.minimum(folded, period - folded)
    return mirrored


def reflected(positions: np.ndarray, side: int) -> np.ndarray:
    """Folds positions back into an axis about the outer edge of its pixels: b a a b."""
    period = 2.0 * side
    folded = np.mod(positions + 0.5, period)
    mirrored: np.ndarray = np.minimum(folded, period - folded)
    return mirrored - 0.5


def motion_blur(fields: np.ndarray, angles: np.ndarray, radius: float, sigma: float) -> np.ndarray:
    """Smears each image along a direction of its own, as ImageMagick's motion blur does.

    Pixel (y, x) becomes the mean of (y + round(i sin a), x + round(i cos a)) for i = 0, 1 ...
    2 ceil(radius), weighted by exp(-i^2 / (2 sigma^2)): half a Gaussian, on one side. Beyond its
    border the image goes on with its outermost pixels.

    Args:
        fields: float32 [N, H, W, C].
        angles: float [N], in degrees, from right to down.
        radius: in pixels.
        sigma: in pixels, above 0.

    """
    height, width = fields.shape[1:3]
    steps = np.arange(2 * int(np.ceil(radius)) + 1)
    weights = np.exp(-np.square(steps / sigma) / 2)
    # What is further away does not reach a float32.
    steps = steps[weights > 1e-7]
    weights = weights[: len(steps)]
    weights = (weights / weights.sum()).astype(np.float32)
    reach = int(steps[-1])
    around = ((0, 0), (reach, reach), (reach, reach), (0, 0))
    padded = np.pad(fields, around, mode="edge")
    result = np.zeros_like(fields)
    for number, angle in enumerate(np.radians(angles)):
        down = np.ceil(steps * np.sin(angle) - 0.5).astype(int) + reach
        right = np.ceil(steps * np.cos(angle) - 0.5).astype(int) + reach
        for row, column, weight in zip(down, right, weights, strict=True):
            result[number] += weight * padded[number, row : row + height, column : column + width]
    return result
