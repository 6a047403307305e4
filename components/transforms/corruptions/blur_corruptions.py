"""Blur corruptions: defocus, glass, motion, zoom and Gaussian.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", with the parameters of CIFAR-10-C. Radii, sigmas and offsets are in pixels of an
image of 32 and are scaled by the shorter side over 32.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

from twofold.components.transforms.corruptions.corruption import (
    PUBLISHED_SIDE,
    Corruption,
    Draws,
    clipped_zoom,
    gaussian_filter,
    length_scale,
    motion_blur,
    to_unit,
)


def _gaussian_blur(images: np.ndarray, draws: Draws, sigma: float) -> np.ndarray:
    return gaussian_filter(to_unit(images), sigma * length_scale(images))


def disk_kernel(radius: float, alias_sigma: float, scale: float = 1.0) -> np.ndarray:
    """Returns the kernel of a lens out of focus: a disk, its jagged edge smoothed.

    Args:
        radius: in pixels; pixels whose centre is no further away are in the disk.
        alias_sigma: of the Gaussian of 3x3 taps that smooths it.
        scale: how many pixels wide each of these pixels becomes when the kernel is enlarged.

    Returns:
        float64 [K, K], of sum 1. The original's grid of 17x17 has nothing else but zeros.

    """
    reach = int(radius) + 1
    offsets = np.arange(-reach, reach + 1)
    disk = (np.square(offsets)[:, None] + np.square(offsets) <= radius**2).astype(np.float64)
    window = np.exp(-np.square(np.array([-1, 0, 1]) / alias_sigma) / 2)
    for axis in (0, 1):
        disk = ndimage.correlate1d(disk, window, axis=axis, mode="constant")
    wide = np.arange(-math.ceil((reach + 0.5) * scale), math.ceil((reach + 0.5) * scale) + 1)
    # What the pixels of the enlarged kernel and of the kernel have in common.
    overlap = np.minimum(wide[:, None] + 0.5, (offsets + 0.5) * scale)
    overlap = np.maximum(overlap - np.maximum(wide[:, None] - 0.5, (offsets - 0.5) * scale), 0)
    overlap = overlap[overlap.any(axis=1)]
    enlarged = overlap @ disk @ overlap.T
    kernel: np.ndarray = enlarged / enlarged.sum()
    return kernel


def _defocus_blur(images: np.ndarray, draws: Draws, parameters: tuple[float, float]) -> np.ndarray:
    # Enlarged as a whole: a disk of another radius would jump in size from pixel to pixel.
    kernel = disk_kernel(*parameters, scale=length_scale(images))
    blurred: np.ndarray = ndimage.correlate(
        to_unit(images), kernel[None, :, :, None], mode="mirror"
    )
    return blurred


def _glass_reach(shape: tuple[int, ...], delta: int) -> int:
    return max(1, round(delta * min(shape[:2]) / PUBLISHED_SIDE))


def _sample_glass(
    random: np.random.Generator, image: np.ndarray, parameters: tuple[float, int, int]
) -> Draws:
    _, delta, iterations = parameters
    reach = _glass_reach(image.shape, delta)
    shape = (iterations, 2, *image.shape[:2])
    return (random.integers(-reach, reach, shape, np.int64),)


def _glass_blur(images: np.ndarray, draws: Draws, parameters: tuple[float, int, int]) -> np.ndarray:
    """Blurs, puts in place of each pixel one nearby, and blurs again.

    The pixel is up to delta further up or left, or less than delta down or right. The original
    visits pixels from the last to the first and overwrites them one by one; with its delta of 1
    each is copied from one that it has not yet visited, which is what is done here for any delta.
    The outermost delta pixels stay, and delta more at the top and on the left.
    """
    sigma, delta, iterations = parameters
    count, height, width, _ = images.shape
    sigma *= length_scale(images)
    reach = _glass_reach(images.shape[1:], delta)
    fields = gaussian_filter(to_unit(images), sigma)
    inside = np.s_[reach + 1 : height - reach + 1, reach + 1 : width - reach + 1]
    rows, columns = (offsets[inside] for offsets in np.indices((height, width)))
    number = np.arange(count)[:, None, None]
    for turn in range(iterations):
        down, right = (draws[0][:, turn, axis][:, *inside] for axis in (0, 1))
        fields[:, *inside] = fields[number, rows + down, columns + right]
    return gaussian_filter(fields, sigma)


def _sample_direction(
    random: np.random.Generator, image: np.ndarray, parameters: tuple[float, float]
) -> Draws:
    return (random.uniform(-45.0, 45.0, ()),)


def _motion_blur(images: np.ndarray, draws: Draws, parameters: tuple[float, float]) -> np.ndarray:
    radius, sigma = (length * length_scale(images) for length in parameters)
    return motion_blur(to_unit(images), draws[0], radius, sigma)


def _zoom_blur(images: np.ndarray, draws: Draws, most: float) -> np.ndarray:
    """Gives the mean of the image and of its zooms by 1, 1.01 ... up to about ``most``."""
    unit = to_unit(images)
    # With a step that is no float, this also gives the end itself now and then, as published.
    factors = np.arange(1, most, 0.01)
    total = unit.copy()
    for factor in factors:
        total += clipped_zoom(unit, float(factor))
    return total / np.float32(len(factors) + 1)


BLURS = {
    "defocus_blur": Corruption(
        "blur", ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)), _defocus_blur
    ),
    "glass_blur": Corruption(
        "blur",
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        _glass_blur,
        _sample_glass,
    ),
    "motion_blur": Corruption(
        "blur", ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)), _motion_blur, _sample_direction
    ),
    "zoom_blur": Corruption("blur", (1.06, 1.11, 1.16, 1.21, 1.26), _zoom_blur),
    "gaussian_blur": Corruption("blur", (0.4, 0.6, 0.7, 0.8, 1), _gaussian_blur, main=False),
}
