"""The 19 common corruptions of images, at five severities each.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations": formulas and parameters are those of CIFAR-10-C, whose images have 32 pixels a side.
On others lengths in pixels are scaled by the shorter side over 32, so that an image and its
enlargement are spoilt alike; noise stays noise of single values. Grey images are taken, too, and
colours that are laid over them become grey.

The published files were made with an unseeded generator and cannot be made again. Here an image's
corruption is drawn from (seed, key hash, corruption, severity) alone: it is the same in any batch,
order, process and on any machine, up to the last bits of floating-point functions. Ice is computed
where the original has photographs (`weather_corruptions`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from twofold.components.errors import SettingsError
from twofold.components.transforms.corruptions.blur_corruptions import BLURS
from twofold.components.transforms.corruptions.corruption import Corruption, Draws
from twofold.components.transforms.corruptions.digital_corruptions import DIGITAL
from twofold.components.transforms.corruptions.noise_corruptions import NOISES
from twofold.components.transforms.corruptions.spatter_corruption import SPATTER
from twofold.components.transforms.corruptions.weather_corruptions import WEATHER

_ALL = {**NOISES, **BLURS, **WEATHER, **SPATTER, **DIGITAL}
# Those that the benchmark counts come first, in the paper's order.
CORRUPTIONS: dict[str, Corruption] = dict(sorted(_ALL.items(), key=lambda one: not one[1].main))
MAIN = tuple(name for name, one in CORRUPTIONS.items() if one.main)
EXTRA = tuple(name for name, one in CORRUPTIONS.items() if not one.main)
SEVERITIES = (1, 2, 3, 4, 5)

# Of images that are worked on at once; what lies in a processor's cache is worked on fastest.
_VALUES_AT_ONCE = 1 << 18
_LEAST_SIDE = 8


def corrupt(
    images: np.ndarray, name: str, severity: int, *, seed: int, key_hashes: np.ndarray
) -> np.ndarray:
    """Corrupts images.

    Args:
        images: uint8 [N, H, W, C], C 1 or 3, H and W at least 8; may be memory-mapped.
        name: a key of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: another number gives other noise, at least 0.
        key_hashes: int64 [N], what each image is known by, wherever it stands.

    Returns:
        uint8 [N, H, W, C]: values below 0 are 0, above 1 are 1, and times 255 they are truncated.

    Raises:
        SettingsError: if the corruption or the severity is unknown.
        ValueError: if an array is not as expected.

    """
    corruption, parameters = find_corruption(name, severity)
    _check(images, key_hashes)
    result = np.empty(images.shape, np.uint8)
    together = max(1, _VALUES_AT_ONCE // max(1, images[:1].size))
    for start in range(0, len(images), together):
        some = np.ascontiguousarray(images[start : start + together])
        draws: Draws = ()
        if corruption.sample is not None:
            generators = _generators(seed, name, severity, key_hashes[start : start + together])
            drawn = [
                corruption.sample(random, image, parameters)
                for random, image in zip(generators, some, strict=True)
            ]
            draws = tuple(np.stack(part) for part in zip(*drawn, strict=True))
        result[start : start + together] = _to_uint8(corruption.apply(some, draws, parameters))
    return result


def find_corruption(name: str, severity: int) -> tuple[Corruption, object]:
    """Returns a corruption and its parameters of a severity.

    Raises:
        SettingsError: if it or the severity is unknown, listing the known ones.

    """
    if name not in CORRUPTIONS:
        raise SettingsError(
            f"unknown corruption {name!r}: expected one of {', '.join(CORRUPTIONS)}"
        )
    if severity not in SEVERITIES:
        expected = ", ".join(map(str, SEVERITIES))
        raise SettingsError(f"unknown severity {severity!r} of {name}: expected one of {expected}")
    corruption = CORRUPTIONS[name]
    return corruption, corruption.parameters[severity - 1]


def _check(images: np.ndarray, key_hashes: np.ndarray) -> None:
    shape = images.shape
    fits = len(shape) == 4 and min(shape[1:3]) >= _LEAST_SIDE and shape[3] in (1, 3)
    if images.dtype != np.uint8 or not fits:
        raise ValueError(
            f"images to corrupt must be uint8 [N, H, W, C] with sides of at least {_LEAST_SIDE} "
            f"and 1 or 3 channels, received {images.dtype} {list(shape)}"
        )
    if key_hashes.shape != shape[:1] or not np.issubdtype(key_hashes.dtype, np.integer):
        raise ValueError(
            f"key_hashes must be integers, one for each of {shape[0]} images, received "
            f"{key_hashes.dtype} {list(key_hashes.shape)}"
        )


def _generators(
    seed: int, name: str, severity: int, key_hashes: np.ndarray
) -> Iterator[np.random.Generator]:
    """Gives each image a generator of its own, whose key is a hash of what decides its numbers."""
    for key_hash in key_hashes.tolist():
        text = f"{seed}/{key_hash}/{name}/{severity}"
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest())
        yield np.random.Generator(np.random.Philox(key=key))


def _to_uint8(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    pixels: np.ndarray = (np.clip(images, 0, 1) * np.float32(255)).astype(np.uint8)
    return pixels
