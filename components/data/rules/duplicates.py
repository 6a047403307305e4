"""Duplicate images, exact and near, among a million, and leakage from held-out images.

Images are compared by a digest of their pixels and by two perceptual hashes, so that 32 bytes of
each are held together. The hashes are DCT based as in Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions" (2010): the cosine transform of a grey thumbnail of 32 x 32 pixels,
and for each of 64 frequencies whether its coefficient is above their median. The first takes the
frequencies 1 to 8 down and across, as there; the second the 64 next higher ones.

Two images are near duplicates if their first hashes differ in at most `bits` bits and the second
ones in at most 16, where chance gives 32. The first alone is not precise enough for small images:
what the second tells apart are things of a like outline in the same place. Found are copies that
were encoded again, resized, made brighter, paler or grey, or cut by a pixel in thirty; not found
are mirrored or turned ones and larger cuts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from twofold.components.data.rules.near_hashes import link, near_pairs
from twofold.components.errors import DataError

NEAR_BITS = 6
DETAIL_BITS = 16
MOST_BITS = 12

_SIDE = 32
# The cosines as whole numbers. Products of two of them and a pixel add up to less than 2**53, so
# that float64 holds all sums exactly, in whatever order a machine forms them; and the rounded
# cosines of a frequency still add up to 0.
_SCALE = 2**12
_FREQUENCIES = np.arange(1, 17)
_COSINES = np.round(_SCALE * np.cos(np.pi / _SIDE * np.outer(_FREQUENCIES, np.arange(_SIDE) + 0.5)))
_IS_LOW = np.logical_and.outer(_FREQUENCIES <= 8, _FREQUENCIES <= 8).ravel()
_LOW = np.flatnonzero(_IS_LOW)
# By the sum of both frequencies, and by rows where it is equal.
_NEXT = np.argsort(
    np.where(_IS_LOW, 99, np.add.outer(_FREQUENCIES, _FREQUENCIES).ravel()), kind="stable"
)[:64]
_THUMBNAILS_AT_ONCE = 1024

# N images, uint8 [H, W, 1 or 3] each, of one size or of several.
_Images = Sequence[np.ndarray] | np.ndarray


def pixel_digest(pixels: np.ndarray) -> bytes:
    """16 bytes that are equal for images of equal shape and pixels, uint8 [H, W, C], alone."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()[:16]


def thumbnails(pixels: _Images) -> np.ndarray:
    """Grey images of 32 x 32 pixels, reduced bilinearly with antialiasing whatever their aspect.

    Args:
        pixels: N images, uint8 [H, W, 1 or 3].

    Returns:
        uint8 [N, 32, 32, 1]; such an array is returned as it is.

    """
    shape = (len(pixels), _SIDE, _SIDE, 1)
    if isinstance(pixels, np.ndarray) and pixels.shape == shape:
        return pixels
    small = np.empty(shape, np.uint8)
    for row, image in zip(small, pixels, strict=True):
        if image.shape[-1] == 3:
            picture = Image.fromarray(image).convert("L")
        else:
            picture = Image.fromarray(image[..., 0])
        row[..., 0] = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    return small


def perceptual_hashes(pixels: _Images) -> np.ndarray:
    """The first hash of each image, uint64 [N]; 0 where it says nothing.

    It says nothing of an image that is flat, or of a small thing before a flat ground: such ones
    agree in the low frequencies wherever the thing is in the same place, whatever it is. An image
    counts as such if what stands out from the median of its thumbnail is of less than one grey
    level, in the root of the mean square, or covers less than an eighth of it. What is covered are
    (sum of z^2)^2 / (sum of z^4) pixels, z being differences from the median: as many as do stand
    out, if all do so equally.

    Args:
        pixels: N images, uint8 [H, W, 1 or 3], or their `thumbnails`.

    """
    small = thumbnails(pixels)
    hashes = _hashes(small, _LOW)
    for start in range(0, len(small), _THUMBNAILS_AT_ONCE):
        values = small[start : start + _THUMBNAILS_AT_ONCE].reshape(-1, _SIDE**2)
        middle = _SIDE**2 // 2
        median = np.partition(values, middle, axis=1)[:, middle, None]
        # In whole numbers, so that every machine agrees.
        squares = (values.astype(np.int64) - median) ** 2
        power = squares.sum(axis=1)
        covers = power**2 >= _SIDE**2 // 8 * (squares**2).sum(axis=1)
        hashes[start : start + len(values)][(power < _SIDE**2) | ~covers] = 0
    return hashes


def detail_hashes(pixels: _Images) -> np.ndarray:
    """The second hash of each image, uint64 [N], of higher frequencies.

    Args:
        pixels: N images, uint8 [H, W, 1 or 3], or their `thumbnails`.

    """
    return _hashes(thumbnails(pixels), _NEXT)


def _hashes(small: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    hashes = np.empty(len(small), np.uint64)
    for start in range(0, len(small), _THUMBNAILS_AT_ONCE):
        part = small[start : start + _THUMBNAILS_AT_ONCE, ..., 0].astype(np.float64)
        every = _COSINES @ part @ _COSINES.T
        chosen = every.reshape(len(part), -1)[:, frequencies]
        bits = chosen > np.median(chosen, axis=1, keepdims=True)
        packed = np.ascontiguousarray(np.packbits(bits, axis=1))
        hashes[start : start + len(part)] = packed.view(">u8")[:, 0]
    return hashes


def hamming(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The number of bits in which hashes differ, uint8, of uint64 arrays that broadcast."""
    distances: np.ndarray = np.bitwise_count(a ^ b)
    return distances


@dataclass(frozen=True)
class Duplicates:
    """Which of N images are the same, or nearly.

    Attributes:
        exact: int64 [N], the lowest row with the same pixels: an image's own if there is no other.
        near: int64 [N], the lowest row of the cluster that exact and near duplicates chain
            together: an image's own if it has none.
        leaked: bool [N], not held out but itself, not by a chain, an exact or near duplicate of an
            image that is.
    """

    exact: np.ndarray
    near: np.ndarray
    leaked: np.ndarray


def find_duplicates(
    digests: np.ndarray,
    hashes: np.ndarray,
    held_out: np.ndarray,
    comparable: np.ndarray,
    *,
    bits: int | None,
    details: np.ndarray | None = None,
) -> Duplicates:
    """Finds duplicates among N images, the same whatever the order of the rows.

    Equal hashes are compared once; `near_hashes` says how the others are searched. Pairs are
    compared and not kept, so memory grows with N alone, whatever the hashes: by 140 bytes an image
    beside the arguments. With 6 bits, half a million images take a core 0.7 s and a million 1.7 s.

    Args:
        digests: uint64 [N, 2], the bytes of `pixel_digest`.
        hashes: uint64 [N], from `perceptual_hashes`.
        held_out: bool [N], images for measuring.
        comparable: bool [N], False where the hash says nothing: `hashes != 0`.
        bits: how many bits may differ between near duplicates, 0 to 12; half of a hash's bits are
            set, so an odd number finds what the even one below it does. None finds exact ones only.
        details: uint64 [N], from `detail_hashes`; None compares `hashes` alone.

    Raises:
        DataError: `bits` is outside its range.

    """
    if bits is not None and not 0 <= bits <= MOST_BITS:
        raise DataError(f"bits: expected None or 0 to {MOST_BITS}, received {bits!r}")
    first, which = distinct(digests[:, 0], digests[:, 1])
    exact = first[which]
    leaked = np.isin(exact, exact[held_out])
    near = exact.copy()
    if bits is not None:
        rows = np.flatnonzero(comparable)
        columns = [hashes[rows]] if details is None else [hashes[rows], details[rows]]
        first, which = distinct(*columns)
        # Distinct hashes are numbered; `cluster` and the others below have a value for each.
        cluster = np.arange(len(first))
        holds = np.zeros(len(first), bool)
        holds[which[held_out[rows]]] = True
        touches = holds.copy()
        unlike = [column[first] for column in columns]
        seconds = None if details is None else unlike[1]
        for found in near_pairs(unlike[0], seconds, bits=bits, detail_bits=DETAIL_BITS):
            a, b = found.pairs
            touches[a[holds[b]]] = True
            touches[b[holds[a]]] = True
            link(cluster, a, b)
        leaked[rows] |= touches[which]
        # The cluster's number is that of some hash, and rows of that hash are in the cluster.
        link(near, rows, rows[first][cluster[which]])
    return Duplicates(exact, near, leaked & ~held_out)


def distinct(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest row of each distinct one, int64 [D], and which of these each row is, int64 [N]."""
    order = np.lexsort(columns[::-1])
    starts = np.ones(len(order), bool)
    starts[1:] = np.any([column[order[1:]] != column[order[:-1]] for column in columns], axis=0)
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(starts) - 1
    return order[starts], which
