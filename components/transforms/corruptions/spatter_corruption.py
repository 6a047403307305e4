"""Spatter corruption: drops of water or splashes of mud on the lens.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", with the parameters of CIFAR-10-C. The original shades drops of water by a chain of
OpenCV's operators, which are written out here for a whole batch; only the distance to an edge is
exact where OpenCV's is an approximation.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from twofold.components.transforms.corruptions.corruption import (
    Corruption,
    Draws,
    gaussian_filter,
    in_channels,
    layer_grid,
    stretch,
    to_unit,
)

_WATER = (175, 238, 238)
_MUD = (63, 42, 20)
# Lit from the top left.
_EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)


def _sample_spatter(
    random: np.random.Generator, image: np.ndarray, parameters: tuple[float, ...]
) -> Draws:
    return (random.standard_normal(layer_grid(image.shape), np.float32),)


def _spatter(images: np.ndarray, draws: Draws, parameters: tuple[float, ...]) -> np.ndarray:
    """Finds liquid where smoothed noise is above a threshold, and lays it over the image.

    All of this is on a grid whose shorter side has 32 cells; then it is stretched over the image.
    """
    location, spread, sigma, threshold, strength, is_mud = parameters
    unit, channels = to_unit(images), images.shape[-1]
    liquid = gaussian_filter(np.float32(location) + np.float32(spread) * draws[0], sigma)
    if is_mud:
        cover = gaussian_filter((liquid > threshold).astype(np.float32), strength)
        cover = np.where(cover < 0.8, 0, cover)[..., None]
        cover = stretch(cover, *images.shape[1:3])
        muddy: np.ndarray = unit * (1 - cover) + in_channels(_MUD, channels) * cover
        return muddy
    liquid = np.where(liquid < threshold, 0, np.clip(liquid, 0, 1))
    light = shade((liquid * 255).astype(np.uint8))[..., None]
    light = stretch(light, *images.shape[1:3])
    wet: np.ndarray = unit + np.float32(strength) * light * in_channels(_WATER, channels)
    return wet


def shade(liquid: np.ndarray) -> np.ndarray:
    """Gives each image's drops the light that they reflect, of which the most is 1.

    Args:
        liquid: uint8 [N, H, W], 0 where there is none.

    Returns:
        float32 [N, H, W] in [0, 1]; all 0 where there is no liquid.

    """
    distance = np.minimum(distance_to_edges(find_edges(liquid, 50, 150)), 20)
    heights = equalise(_box_mean(distance).astype(np.uint8)).astype(np.float32)
    embossed = ndimage.correlate(heights, _EMBOSS[None], mode="mirror")
    light = liquid.astype(np.float32) * np.rint(_box_mean(np.clip(embossed, 0, 255)))
    brightest = light.max(axis=(1, 2), keepdims=True)
    shaded: np.ndarray = light / np.where(brightest > 0, brightest, 1)
    return shaded


def find_edges(images: np.ndarray, low: int, high: int) -> np.ndarray:
    """Finds edges as Canny (1986) does, in the form of OpenCV's default.

    The gradient is Sobel's, its size |right| + |down|. A pixel above ``low`` that is the largest of
    the three along its gradient's nearest of four directions belongs to an edge if it is above
    ``high`` or connected with one that is, by such pixels, in any of eight directions.

    Args:
        images: uint8 [N, H, W].
        low: of a gradient of up to 2,040.
        high: at least ``low``.

    Returns:
        bool [N, H, W].

    """
    heights = images.astype(np.int32)
    right, down = _sobel(heights, 2, 1), _sobel(heights, 1, 2)
    size = np.abs(right) + np.abs(down)
    around = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    height, width = size.shape[1:]

    def beside(row: int, column: int) -> np.ndarray:
        neighbours: np.ndarray = around[
            :, 1 + row : 1 + row + height, 1 + column : 1 + column + width
        ]
        return neighbours

    tangent = np.tan(np.pi / 8)
    horizontal = np.abs(down) < tangent * np.abs(right)
    vertical = np.abs(down) > (tangent + 2) * np.abs(right)
    falling = (right ^ down) >= 0
    # Of two equal neighbours along an axis the first one counts, along a diagonal neither does.
    largest = np.select(
        [horizontal, vertical, falling],
        [
            (size > beside(0, -1)) & (size >= beside(0, 1)),
            (size > beside(-1, 0)) & (size >= beside(1, 0)),
            (size > beside(-1, -1)) & (size > beside(1, 1)),
        ],
        (size > beside(-1, 1)) & (size > beside(1, -1)),
    )
    candidates = largest & (size > low)
    # Connected within an image, not from one to the next.
    connected = np.zeros((3, 3, 3), bool)
    connected[1] = True
    numbers, count = ndimage.label(candidates, connected)
    strong = np.zeros(count + 1, bool)
    strong[numbers[candidates & (size > high)]] = True
    edges: np.ndarray = strong[numbers]
    return edges


def _sobel(heights: np.ndarray, along: int, across: int) -> np.ndarray:
    slopes = ndimage.correlate1d(heights, [-1, 0, 1], axis=along, mode="nearest")
    smoothed: np.ndarray = ndimage.correlate1d(slopes, [1, 2, 1], axis=across, mode="nearest")
    return smoothed


def distance_to_edges(edges: np.ndarray) -> np.ndarray:
    """Returns how far each pixel is from its image's nearest edge, float32 [N, H, W].

    In an image without an edge everything is further away than any threshold.
    """
    far = np.float32(sum(edges.shape[1:]))
    distances = [
        ndimage.distance_transform_edt(~one) if one.any() else np.full(one.shape, far)
        for one in edges
    ]
    return np.stack(distances).astype(np.float32)


def equalise(images: np.ndarray) -> np.ndarray:
    """Spreads the grey levels of each image evenly, as OpenCV's equalizeHist does.

    A level becomes the share of the pixels of higher levels than the lowest that are no brighter,
    times 255; an image of one level stays as it is.

    Args:
        images: uint8 [N, H, W].

    """
    count, pixels = len(images), images[0].size
    cells = images.reshape(count, -1) + 256 * np.arange(count)[:, None]
    histogram = np.bincount(cells.ravel(), minlength=256 * count).reshape(count, 256)
    lowest = histogram[np.arange(count), images.reshape(count, -1).min(axis=1)][:, None]
    others = pixels - lowest
    levels = np.rint((histogram.cumsum(axis=1) - lowest) * (255 / np.maximum(others, 1)))
    levels = np.where(others > 0, np.clip(levels, 0, 255), np.arange(256)).astype(np.uint8)
    spread: np.ndarray = np.take_along_axis(levels, images.reshape(count, -1), axis=1)
    return spread.reshape(images.shape)


def _box_mean(fields: np.ndarray) -> np.ndarray:
    """Returns the means over squares of 3x3 pixels; outside an image it is reflected."""
    means: np.ndarray = ndimage.uniform_filter(fields, (1, 3, 3), mode="mirror")
    return means


SPATTER = {
    "spatter": Corruption(
        "weather",
        (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        _spatter,
        _sample_spatter,
        main=False,
    )
}
