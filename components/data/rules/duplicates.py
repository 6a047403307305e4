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
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

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
_COMPARED_AT_ONCE = 2**16
_LINKED_AT_ONCE = 2**18

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

    Pairs are searched for by bands (Norouzi et al., "Fast Search in Hamming Space with Multi-Index
    Hashing", 2012): of `bits` + 1 bands of a hash, one at least is equal in two hashes that differ
    in at most `bits` bits. The pairs within a band are compared and not kept, so memory grows
    with N alone, whatever the hashes: by 140 bytes an image beside the arguments. Time grows with N
    squared: a million images take a core 2 s with 3 bits, 16 s with 6 and 77 s with 8.

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
    first, which = _distinct(digests[:, 0], digests[:, 1])
    exact = first[which]
    leaked = np.isin(exact, exact[held_out])
    near = exact.copy()
    if bits is not None:
        rows = np.flatnonzero(comparable)
        columns = [hashes[rows]] if details is None else [hashes[rows], details[rows]]
        first, which = _distinct(*columns)
        # Distinct hashes are numbered; `cluster` and the others below have a value for each.
        cluster = np.arange(len(first))
        holds = np.zeros(len(first), bool)
        holds[which[held_out[rows]]] = True
        touches = holds.copy()
        for a, b in _near_pairs([column[first] for column in columns], bits):
            touches[a[holds[b]]] = True
            touches[b[holds[a]]] = True
            _link(cluster, a, b)
        leaked[rows] |= touches[which]
        # The cluster's number is that of some hash, and rows of that hash are in the cluster.
        _link(near, rows, rows[first][cluster[which]])
    return Duplicates(exact, near, leaked & ~held_out)


def _distinct(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest row of each distinct one, int64 [D], and which of these each row is, int64 [N]."""
    order = np.lexsort(columns[::-1])
    starts = np.ones(len(order), bool)
    starts[1:] = np.any([column[order[1:]] != column[order[:-1]] for column in columns], axis=0)
    which = np.empty(len(order), np.int64)
    which[order] = np.cumsum(starts) - 1
    return order[starts], which


def _near_pairs(columns: Sequence[np.ndarray], bits: int) -> Iterator[np.ndarray]:
    """Pairs of rows with near hashes, int64 [2, P], in pieces; every pair is in one or more."""
    none = np.empty((2, 0), np.int64)
    bounds = [64 * k // (bits + 1) for k in range(bits + 2)]
    for low, high in itertools.pairwise(bounds):
        band = columns[0] << np.uint64(64 - high) >> np.uint64(64 - high + low)
        order, in_larger = _largest_first(band)
        found, waiting = [none], 0
        for positions in _near_positions([column[order] for column in columns], in_larger, bits):
            found.append(order[positions])
            waiting += positions.shape[1]
            # Linking a few pairs takes as long as linking many.
            if waiting > _LINKED_AT_ONCE:
                yield np.concatenate(found, axis=1)
                found, waiting = [none], 0
        yield np.concatenate(found, axis=1)


def _near_positions(
    columns: Sequence[np.ndarray], in_larger: np.ndarray, bits: int
) -> Iterator[np.ndarray]:
    """As `_near_pairs`, of one band, with equal bands side by side as `_largest_first` sorts them.

    Comparing each hash with the one `step` rows on compares all pairs of a band in turn; a pair
    across two bands is compared in vain, but not wrongly.
    """
    hashes, *details = columns
    for step, end in enumerate(in_larger.tolist(), start=1):
        for start in range(0, end - step, _COMPARED_AT_ONCE):
            stop = min(start + _COMPARED_AT_ONCE, end - step)
            distance = hamming(hashes[start:stop], hashes[start + step : stop + step])
            near = start + np.flatnonzero(distance <= bits)
            for detail in details:
                near = near[hamming(detail[near], detail[near + step]) <= DETAIL_BITS]
            if len(near):
                yield np.stack([near, near + step])


def _largest_first(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brings equal values together, those first of which there are most.

    Returns:
        order: int64 [N], sorts the values so.
        in_larger: int64 [M - 1], how many values are of those of which there are more than 1, 2,
            and so on to M - 1, M being the most of any.

    """
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.lexsort((which, -counts[which]))
    negative = -counts[which][order]
    return order, np.searchsorted(negative, -np.arange(1, counts.max(initial=1)))


def _link(lowest: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Joins the clusters of rows a and b, pair by pair; `lowest` is each row's cluster's lowest."""
    while True:
        a, b = lowest[a], lowest[b]
        apart = a != b
        if not apart.any():
            return
        a, b = a[apart], b[apart]
        np.minimum.at(lowest, np.maximum(a, b), np.minimum(a, b))
        while (above := lowest[lowest]).tobytes() != lowest.tobytes():
            lowest[:] = above
