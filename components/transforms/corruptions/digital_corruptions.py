"""Digital corruptions: contrast, saturation, elastic distortion, pixelation, JPEG compression.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", with the parameters of CIFAR-10-C; lengths are scaled by the shorter side over 32.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from twofold.components.transforms.corruptions.corruption import (
    PUBLISHED_SIDE,
    Corruption,
    Draws,
    bilinear,
    gaussian_filter,
    length_scale,
    mirrored,
    reflected,
    to_unit,
)


def _contrast(images: np.ndarray, draws: Draws, factor: float) -> np.ndarray:
    """Gives (x - mean) * factor + mean, with the mean of each channel of each image."""
    # Whole numbers add up the same in any order.
    total = images.sum(axis=(1, 2), dtype=np.int64, keepdims=True)
    mean = (total / (255 * images.shape[1] * images.shape[2])).astype(np.float32)
    contrasted: np.ndarray = (to_unit(images) - mean) * np.float32(factor) + mean
    return contrasted


def _saturate(images: np.ndarray, draws: Draws, parameters: tuple[float, float]) -> np.ndarray:
    """The saturation of HSV times a factor plus a term; hue and value stay.

    A grey pixel of a colour image counts as red, as published, and so the term gives it a tint. An
    image with one channel has no colour and stays as it is.
    """
    unit = to_unit(images)
    if images.shape[-1] == 1:
        return unit
    factor, term = (np.float32(one) for one in parameters)
    value = unit.max(axis=-1, keepdims=True)
    chroma = value - unit.min(axis=-1, keepdims=True)
    saturation = chroma / np.where(value > 0, value, 1)
    saturation = np.clip(factor * saturation + term, 0, 1)
    # What a channel is below the value, as a share of the most that it could be at this hue.
    of_red = np.array([0, 1, 1], np.float32)
    below = np.where(chroma > 0, (value - unit) / np.where(chroma > 0, chroma, 1), of_red)
    saturated: np.ndarray = value * (1 - saturation * below)
    return saturated


def _sample_elastic(
    random: np.random.Generator, image: np.ndarray, parameters: tuple[float, float, float]
) -> Draws:
    return random.uniform(-1, 1, (3, 2)), random.uniform(-1, 1, (2, *image.shape[:2]))


def _elastic_transform(
    images: np.ndarray, draws: Draws, parameters: tuple[float, float, float]
) -> np.ndarray:
    """Moves three points about the centre, and the image with them; then lets each pixel wander.

    The points (10 pixels of 32 down and right, up and right, up and left of the centre) move by up
    to ``affine`` right and down each. The flow is alpha times noise, smoothed by sigma; on a larger
    image the noise is as many times stronger, which the wider smoothing takes back.
    """
    alpha, sigma, affine = parameters
    scale = length_scale(images)
    height, width = images.shape[1:3]
    points, noise = draws
    unit = _affine(to_unit(images), points * (affine * scale))
    if alpha == 0:
        return unit
    # One filter for both directions of all images.
    fields = (noise * scale).astype(np.float32).reshape(-1, height, width)
    flow = gaussian_filter(fields, sigma * scale, mode="reflect", truncate=3.0)
    flow = flow.reshape(noise.shape) * np.float32(alpha * scale)
    rows, columns = np.indices((height, width), np.float32)
    return bilinear(
        unit, reflected(rows + flow[:, 1], height), reflected(columns + flow[:, 0], width)
    )


def _affine(unit: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Moves three points by float [N, 3, 2] pixels (right, down), and the whole image with them."""
    height, width = unit.shape[1:3]
    centre, away = np.array([width // 2, height // 2], np.float64), min(height, width) // 3
    before = centre + away * np.array([[1, 1], [1, -1], [-1, -1]])
    after = np.concatenate([before + moves, np.ones((len(moves), 3, 1))], axis=-1)
    # From a place in the result to the one in the image: after @ matrix = before.
    matrix = np.linalg.solve(after, np.broadcast_to(before, moves.shape))[..., None, None]
    rows, columns = np.indices((height, width))
    right, down = (
        matrix[:, 0, axis] * columns + matrix[:, 1, axis] * rows + matrix[:, 2, axis]
        for axis in (0, 1)
    )
    return bilinear(unit, mirrored(down, height), mirrored(right, width))


def _in_pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _pixelate(images: np.ndarray, draws: Draws, pixels: int) -> np.ndarray:
    """Shrinks to so many pixels of each 32 by means over boxes, and enlarges again."""
    height, width = images.shape[1:3]
    small = tuple(max(1, round(side * pixels / PUBLISHED_SIDE)) for side in (width, height))
    box = Image.Resampling.BOX
    results = [
        np.asarray(_in_pillow(image).resize(small, box).resize((width, height), box))
        for image in images
    ]
    return np.stack(results).reshape(images.shape)


def _jpeg_compression(images: np.ndarray, draws: Draws, quality: int) -> np.ndarray:
    results = []
    for image in images:
        file = io.BytesIO()
        _in_pillow(image).save(file, "JPEG", quality=quality)
        with Image.open(file) as compressed:
            results.append(np.asarray(compressed))
    return np.stack(results).reshape(images.shape)


DIGITAL = {
    "contrast": Corruption("digital", (0.75, 0.5, 0.4, 0.3, 0.15), _contrast),
    "elastic_transform": Corruption(
        "digital",
        (
            (0, 0, 2.56),
            (1.6, 6.4, 2.24),
            (2.56, 1.92, 1.92),
            (3.2, 1.28, 1.6),
            (3.2, 0.96, 0.96),
        ),
        _elastic_transform,
        _sample_elastic,
    ),
    "pixelate": Corruption("digital", (30, 28, 27, 24, 20), _pixelate),
    "jpeg_compression": Corruption("digital", (80, 65, 58, 50, 40), _jpeg_compression),
    "saturate": Corruption(
        "digital", ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)), _saturate, main=False
    ),
}
