"""dSprites images drawn from their latents: binary sprites, of which every latent is known.

The public set (Matthey et al., 2017) has one 64x64 image for each of the 3 * 6 * 40 * 32 * 32 =
737,280 combinations of five latents. The numbers below are ours: measured on, and the heart's
outline fitted to, images of the public set. Pixel centres lie at whole coordinates, x to the right
and y down.
"""

from __future__ import annotations

import numpy as np

IMAGE_SIZE = 64
LATENT_NAMES = ("shape", "scale", "orientation", "posX", "posY")
SHAPE_NAMES = ("square", "ellipse", "heart")
LATENT_COUNTS = (3, 6, 40, 32, 32)
COMBINATIONS = int(np.prod(LATENT_COUNTS))

_LATENT_VALUES = (
    np.array([1.0, 2.0, 3.0]),
    np.linspace(0.5, 1.0, 6),
    np.linspace(0.0, 2 * np.pi, 40),
    np.linspace(0.0, 1.0, 32),
    np.linspace(0.0, 1.0, 32),
)

# All lengths are in pixels at scale 1.
_FIRST_CENTRE = 15.5
_CENTRE_RANGE = 32.0
_SQUARE_HALF_SIDE = 9.6
_ELLIPSE_SEMI_AXES = (12.8, 7.2)
# The heart's right half, from its notch over the lobe to its tip, as two cubic Bezier curves.
_HEART_CURVES = np.array(
    [
        [(0.0, -4.91), (1.48, -11.64), (9.49, -10.16), (9.61, -3.93)],
        [(9.61, -3.93), (9.44, 1.6), (1.29, 5.0), (0.0, 9.62)],
    ]
)

# No sprite reaches further than the corner of the largest square, 13.6 pixels, so that pixels are
# evaluated in a window round each centre only; every such window lies inside the image.
_WINDOW = 30
_WINDOW_REACH = 14
_RENDER_BATCH = 1024


def _heart_outline() -> tuple[np.ndarray, np.ndarray]:
    """Polar angles (ascending, -pi/2 to pi/2) and radii of the heart's right half at scale 1."""
    t = np.linspace(0.0, 1.0, 64)[:, None]
    weights = np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)
    points = np.concatenate([weights @ curve for curve in _HEART_CURVES])
    return np.arctan2(points[:, 1], points[:, 0]), np.hypot(points[:, 0], points[:, 1])


def latent_values(classes: np.ndarray) -> np.ndarray:
    """Latent values, float64 [N, 5], of latent class indices, int [N, 5]."""
    columns = [values[classes[:, i]] for i, values in enumerate(_LATENT_VALUES)]
    return np.stack(columns, axis=1)


def class_names(latent: str) -> tuple[str, ...]:
    """The names of a latent's classes, in their order."""
    if latent == LATENT_NAMES[0]:
        return SHAPE_NAMES
    return tuple(f"{value:g}" for value in _LATENT_VALUES[LATENT_NAMES.index(latent)])


def subset(images: int, seed: int) -> np.ndarray:
    """Latent class indices, int64 [images, 5], of distinct combinations in ascending order.

    The choice orders all combinations by a hash of seed and index and keeps the first ones: it is
    integer arithmetic only, the same on every platform and version, and a smaller subset of one
    seed lies within a larger one.
    """
    order = np.argsort(_mix(np.arange(COMBINATIONS, dtype=np.uint64), seed), kind="stable")
    chosen = np.sort(order[:images])
    return np.stack(np.unravel_index(chosen, LATENT_COUNTS), axis=1)


def _mix(index: np.ndarray, seed: int) -> np.ndarray:
    """splitmix64's finalizer (Steele et al., 2014): a bijection of uint64 for each seed."""
    state = index + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    return state ^ (state >> np.uint64(31))


def render(classes: np.ndarray) -> np.ndarray:
    """Sprites, uint8 [N, 64, 64, 1] of 0 and 255, of latent class indices, int [N, 5]."""
    images = np.zeros((len(classes), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for shape in range(len(SHAPE_NAMES)):
        rows = np.flatnonzero(classes[:, 0] == shape)
        for start in range(0, len(rows), _RENDER_BATCH):
            batch = rows[start : start + _RENDER_BATCH]
            _draw(images, batch, shape, latent_values(classes[batch]))
    return images[..., None]


def _draw(images: np.ndarray, rows: np.ndarray, shape: int, values: np.ndarray) -> None:
    """Draw one shape into these rows of images, for latent values [rows, 5]."""
    scale, angle = (values[:, i, None, None] for i in (1, 2))
    centre_x = _FIRST_CENTRE + _CENTRE_RANGE * values[:, 3]
    centre_y = _FIRST_CENTRE + _CENTRE_RANGE * values[:, 4]
    columns = np.floor(centre_x).astype(int)[:, None] - _WINDOW_REACH + np.arange(_WINDOW)
    lines = np.floor(centre_y).astype(int)[:, None] - _WINDOW_REACH + np.arange(_WINDOW)
    dx = (columns - centre_x[:, None])[:, None, :] / scale
    dy = (lines - centre_y[:, None])[:, :, None] / scale
    x = np.cos(angle) * dx - np.sin(angle) * dy
    y = np.sin(angle) * dx + np.cos(angle) * dy
    inside = _contains(shape, x, y)
    images[rows[:, None, None], lines[:, :, None], columns[:, None, :]] = np.where(inside, 255, 0)


def _contains(shape: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points in the sprite's own frame, at scale 1, lie inside the shape."""
    if SHAPE_NAMES[shape] == "square":
        square: np.ndarray = np.maximum(np.abs(x), np.abs(y)) <= _SQUARE_HALF_SIDE
        return square
    if SHAPE_NAMES[shape] == "ellipse":
        along_x, along_y = _ELLIPSE_SEMI_AXES
        return (x / along_x) ** 2 + (y / along_y) ** 2 <= 1.0
    angles, radii = _heart_outline()
    heart: np.ndarray = np.hypot(x, y) <= np.interp(np.arctan2(y, np.abs(x)), angles, radii)
    return heart
