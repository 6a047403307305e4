"""Weather corruptions: snow, frost, fog and brightness.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", with the parameters of CIFAR-10-C; lengths are scaled by the shorter side over 32.

The published frost lays crops of five photographs of frozen windows over the images. Here the ice
is computed (`ice_texture`), a new one for each image: results on frost are comparable among runs of
Twofold, and less so with published ones.
"""

from __future__ import annotations

import math

import numpy as np

from twofold.components.transforms.corruptions.corruption import (
    PUBLISHED_SIDE,
    Corruption,
    Draws,
    clipped_zoom,
    in_channels,
    layer_grid,
    length_scale,
    motion_blur,
    stretch,
    to_grey,
    to_unit,
)

# Leaves of ice on a square, and how many numbers are drawn of each: where it begins (right, down),
# its direction, how long it is, how broad, how dense.
_LEAVES = 24
_LEAF_NUMBERS = 6
# Where ice is thin and where it is thick.
_THIN_ICE = (38, 58, 88)
_THICK_ICE = (240, 248, 255)


def _sample_snow(
    random: np.random.Generator, image: np.ndarray, parameters: tuple[float, ...]
) -> Draws:
    flakes = random.standard_normal((*layer_grid(image.shape), 1), np.float32)
    return flakes, random.uniform(-135.0, -45.0, ())


def _snow(images: np.ndarray, draws: Draws, parameters: tuple[float, ...]) -> np.ndarray:
    """Whitens the image, and adds a layer of smeared flakes and the same turned upside down.

    Flakes fall into a grid whose shorter side has 32 cells, which is stretched over the image
    before they are smeared.
    """
    location, spread, zoom, threshold, radius, sigma, blend = parameters
    scale, unit = length_scale(images), to_unit(images)
    layer = clipped_zoom(np.float32(location) + np.float32(spread) * draws[0], zoom)
    layer = np.where(layer < threshold, 0, np.minimum(layer, 1))
    layer = stretch(layer, *images.shape[1:3])
    layer = motion_blur(layer, draws[1], radius * scale, sigma * scale)
    whitened = np.maximum(unit, to_grey(unit) * 1.5 + 0.5)
    whitened = np.float32(blend) * unit + np.float32(1 - blend) * whitened
    snowy: np.ndarray = whitened + layer + layer[:, ::-1, ::-1]
    return snowy


def _plasma_side(shape: tuple[int, ...]) -> int:
    return 1 << (max(shape[:2]) - 1).bit_length()


def _sample_plasma(random: np.random.Generator, image: np.ndarray, parameters: object) -> Draws:
    side = _plasma_side(image.shape)
    return (random.uniform(-1.0, 1.0, side**2 - 1).astype(np.float32),)


def plasma(displacements: np.ndarray, side: int, decay: float) -> np.ndarray:
    """Makes clouds by the diamond-square algorithm on a torus.

    Starts from one height on a grid as wide as the map, and fills in the middle of each square,
    then that of each diamond, with the mean of the four around it and a displacement; then the grid
    is half as wide and the displacements are divided by decay^2.

    Args:
        displacements: float32 [N, side^2 - 1], uniform in [-1, 1].
        side: of the map, a power of 2, at least 2.
        decay: above 1; the larger, the smoother.

    Returns:
        float32 [N, side, side], from 0 to 1.

    """
    heights = np.zeros((len(displacements), side, side), np.float32)
    used, step, size = 0, side, np.float32(1)

    def moved(total: np.ndarray) -> np.ndarray:
        nonlocal used
        count = total.shape[1] * total.shape[2]
        chosen = displacements[:, used : used + count].reshape(total.shape)
        used += count
        return total / 4 + size * chosen

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=1)
        middles = moved(pairs + np.roll(pairs, -1, axis=2))
        heights[:, half::step, half::step] = middles
        above_and_below = middles + np.roll(middles, 1, axis=1)
        left_and_right = corners + np.roll(corners, -1, axis=2)
        heights[:, ::step, half::step] = moved(above_and_below + left_and_right)
        left_and_right = middles + np.roll(middles, 1, axis=2)
        above_and_below = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, ::step] = moved(left_and_right + above_and_below)
        step, size = half, size / np.float32(decay**2)
    heights -= heights.min(axis=(1, 2), keepdims=True)
    heights /= np.maximum(heights.max(axis=(1, 2), keepdims=True), 1e-12)
    return heights


def _fog(images: np.ndarray, draws: Draws, parameters: tuple[float, float]) -> np.ndarray:
    """Gives (x + thickness * plasma) * max(x) / (max(x) + thickness).

    The plasma is the smallest one that holds the image; as wide as a CIFAR image exactly.
    """
    thickness, decay = parameters
    unit = to_unit(images)
    height, width = images.shape[1:3]
    clouds = plasma(draws[0], _plasma_side(images.shape[1:]), decay)[:, :height, :width, None]
    brightest = unit.max(axis=(1, 2, 3), keepdims=True)
    foggy: np.ndarray = (unit + np.float32(thickness) * clouds) * (
        brightest / (brightest + np.float32(thickness))
    )
    return foggy


def _sample_ice(random: np.random.Generator, image: np.ndarray, parameters: object) -> Draws:
    count = -(-_LEAVES * max(image.shape[:2]) // min(image.shape[:2]))
    leaves = random.random((count, _LEAF_NUMBERS), np.float32)
    return (*_sample_plasma(random, image, parameters), leaves)


def ice_texture(
    displacements: np.ndarray, leaves: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Draws the ice flowers of a cold window, as thickness.

    A leaf of ice has a straight rib and, at 60 degrees from it, barbs as far apart as 2.5 pixels of
    an image of 32, which reach to an outline that narrows to a point at both ends. Leaves lie over
    each other on a film of ice of uneven thickness.

    Args:
        displacements: float32 [N, side^2 - 1], of the film; see `plasma`.
        leaves: float32 [N, L, 6], uniform in [0, 1).
        height: H, in pixels.
        width: W.

    Returns:
        float32 [N, H, W] in [0, 1].

    """
    pixel = PUBLISHED_SIDE / min(height, width)
    tall, wide = height * pixel, width * pixel
    down = ((np.arange(height)[:, None] + 0.5) * pixel).astype(np.float32)
    right = ((np.arange(width) + 0.5) * pixel).astype(np.float32)
    film = plasma(displacements, _plasma_side((height, width)), 1.35)[:, :height, :width]
    thickness = 0.05 + 0.6 * np.square(film)
    for leaf in np.moveaxis(leaves, 1, 0)[..., None, None]:
        begin_right, begin_down, turn, length, breadth, density = np.moveaxis(leaf, 1, 0)
        cosine, sine = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
        # Some begin outside the image.
        x = right - (1.4 * begin_right - 0.2) * wide
        y = down - (1.4 * begin_down - 0.2) * tall
        along = x * cosine + y * sine
        across = np.abs(y * cosine - x * sine)
        outline = (0.1 + 0.25 * breadth) * np.minimum(3 * along, 10 + 24 * length - along)
        inside = np.clip(outline - across + 0.5, 0, 1) * (along > 0)
        barbs = 0.5 + 0.5 * np.cos((2 * np.pi / 2.5) * (along - across / math.sqrt(3)))
        barbs = (0.6 + 0.3 * density) * (0.2 + 0.8 * barbs)
        rib = np.exp(-np.square(across / 0.6))
        thickness = np.maximum(thickness, inside * np.maximum(rib, barbs) * (0.6 + 0.4 * film))
    texture: np.ndarray = np.clip(thickness, 0, 1)
    return texture


def _frost(images: np.ndarray, draws: Draws, parameters: tuple[float, float]) -> np.ndarray:
    """Gives keep * x + cover * ice."""
    keep, cover = parameters
    displacements, leaves = draws
    thickness = ice_texture(displacements, leaves, *images.shape[1:3])[..., None]
    thin, thick = (in_channels(one, images.shape[-1]) for one in (_THIN_ICE, _THICK_ICE))
    ice = thin + (thick - thin) * thickness
    frosted: np.ndarray = np.float32(keep) * to_unit(images) + np.float32(cover) * ice
    return frosted


def _brightness(images: np.ndarray, draws: Draws, added: float) -> np.ndarray:
    """Adds to the value of HSV, which is the largest channel; hue and saturation stay."""
    unit = to_unit(images)
    value = unit.max(axis=-1, keepdims=True)
    brighter = np.minimum(value + np.float32(added), 1)
    factor = brighter / np.where(value > 0, value, 1)
    scaled: np.ndarray = np.where(value > 0, unit * factor, brighter)
    return scaled


WEATHER = {
    "snow": Corruption(
        "weather",
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        _snow,
        _sample_snow,
    ),
    "frost": Corruption(
        "weather",
        ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        _frost,
        _sample_ice,
    ),
    "fog": Corruption(
        "weather",
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        _fog,
        _sample_plasma,
    ),
    "brightness": Corruption("weather", (0.05, 0.1, 0.15, 0.2, 0.3), _brightness),
}
