"""Images to spoil, and what a corruption draws for them."""

import numpy as np

from twofold.components.transforms.corruptions.common_corruptions import find_corruption


def pictures(count=2, height=32, width=32, channels=3, seed=0):
    """Gives smooth pictures with edges, of all kinds of brightness and colour."""
    random = np.random.default_rng(seed)
    down, right = np.mgrid[0:height, 0:width] / max(height, width)
    result = np.empty((count, height, width, channels))
    for image in result:
        for channel in range(channels):
            a, b, c, d = random.uniform(0, 6, 4)
            wave = np.sin(a + 5 * b * down) * np.cos(c + 5 * d * right)
            image[..., channel] = 128 + 90 * wave + 30 * (down + right > random.uniform(0.4, 1.4))
    return np.clip(result, 0, 255).astype(np.uint8)


def drawn(images, name, severity, seed=0):
    """Gives what the corruption draws for the images, stacked, and its parameters."""
    corruption, parameters = find_corruption(name, severity)
    random = np.random.default_rng(seed)
    if corruption.sample is None:
        return (), parameters
    parts = [corruption.sample(random, image, parameters) for image in images]
    return tuple(np.stack(part) for part in zip(*parts, strict=True)), parameters


def applied(images, name, severity, draws):
    """Gives the corrupted images before they are clipped, in [0, 1] where nothing is clipped."""
    corruption, parameters = find_corruption(name, severity)
    result = corruption.apply(images, draws, parameters)
    return result / 255 if result.dtype == np.uint8 else result
