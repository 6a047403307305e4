"""Near hash search: pairs of 64-bit hashes that differ in few bits, without comparing all pairs.

Hashes are sorted by some of their bits, and those that agree in them are compared. Of `bits` + k
bands of a hash, k at least are equal in two hashes that differ in at most `bits` bits, since each
bit that differs touches one band: so every near pair agrees in one of the binomial(bits + k, k)
choices of k bands, whatever k is (Manku et al., "Detecting Near-Duplicates for Web Crawling",
2007). A larger k sorts more often and by more bits, so that fewer hashes agree by chance: of D
hashes with even bits, each is compared with

    D * binomial(bits + k, k) / 2 ** (64 * k / (bits + k))

others. By a sample of the hashes, that k is taken which should take the least time. Beyond a
million, workers search those that agree in one of `bits` + 1 bands, by k of the others. Then each
hash is expected to be compared with so many others, and to take so many microseconds of a core:

| bits | D = 100,000 | 1 million | 10 million | 100 million |
| --- | --- | --- | --- | --- |
| 2 | 0, 0.2 | 1, 0.2 | 12, 0.2 | 119, 0.4 |
| 4 | 73, 0.4 | 6, 0.8 | 31, 1.3 | 310, 1.9 |
| 6 | 43, 1.5 | 427, 2.3 | 594, 9.9 | 2,760, 15 |
| 8 | 696, 3.6 | 1,007, 10 | 12,274, 45 | 25,016, 124 |
| 12 | 7,129, 37 | 27,771, 147 | 569,305, 1,434 | 3,345,394, 7,874 |

In between it is at most 3,600 with 6 bits and 31,000 with 8. To these add those that are near, with
which each is compared some 50 times.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

# Of nanoseconds: to sort a hash among others by some of its bits, and to compare two.
_SORTED = 50.0
_COMPARED = 2.0
_MOST_EQUAL = 6
_MOST_MASKS = 5000
_SAMPLE = 2**14
_COMPARED_AT_ONCE = 2**16
_FOUND_AT_ONCE = 2**18
_ALL = 2**64 - 1


class NearPairs(NamedTuple):
    """Some of the near pairs.

    Attributes:
        pairs: the rows of each, int64 [2, P]; a pair may come more than once.
        compared: how many pairs were compared to find these.
    """

    pairs: np.ndarray
    compared: int


def band_masks(bits: int) -> list[int]:
    """`bits` + 1 masks without common bits; near hashes agree in the bits of one of them."""
    return _cut(_ALL, bits + 1)


def masks_of(free: int, bits: int, equal: int) -> list[int]:
    """Masks of which hashes that differ in at most `bits` bits agree in one at least.

    Args:
        free: the bits to choose from.
        bits: how many may differ.
        equal: how many of `bits` + `equal` bands each mask is made of; 0 gives an empty mask.

    """
    if not equal:
        return [0]
    bands = _cut(free, bits + equal)
    return [sum(chosen) for chosen in itertools.combinations(bands, equal)]


def expected_comparisons(hashes: float, bits: int, equal: int, agreeing: int = 0) -> float:
    """With how many others each of so many hashes with even bits is compared.

    Args:
        hashes: how many there are.
        bits: how many bits may differ.
        equal: as of `masks_of`.
        agreeing: the bits of the hash in which all that are compared agree to begin with.

    """
    masks = masks_of(_ALL >> agreeing, bits, equal)
    return sum(hashes / 2.0 ** (agreeing + mask.bit_count()) for mask in masks)


def near_pairs(
    hashes: np.ndarray,
    details: np.ndarray | None,
    *,
    bits: int,
    detail_bits: int,
    agreeing: int = 0,
) -> Iterator[NearPairs]:
    """Finds the pairs of rows whose hashes differ in at most `bits` bits.

    Args:
        hashes: uint64 [N], without equal ones, or with few.
        details: second hashes, uint64 [N], which must differ in at most `detail_bits` bits, too;
            None compares `hashes` alone.
        bits: from 0 to 12.
        detail_bits: from 0 to 64.
        agreeing: a mask; all pairs that agree in its bits are found, others by chance. 0 finds all.

    """
    found: list[np.ndarray] = []
    waiting = compared = 0
    for mask in _best_masks(hashes, bits, agreeing):
        order, in_larger = _largest_first(hashes, agreeing | mask)
        for positions, step, tried in _near_positions(hashes[order], in_larger, bits):
            compared += tried
            if not len(positions):
                continue
            pairs = order[np.stack([positions, positions + step])]
            if details is not None:
                apart = np.bitwise_count(details[pairs[0]] ^ details[pairs[1]])
                pairs = pairs[:, apart <= detail_bits]
            found.append(pairs)
            waiting += pairs.shape[1]
            if waiting > _FOUND_AT_ONCE:
                yield NearPairs(np.concatenate(found, axis=1), compared)
                found, waiting, compared = [], 0, 0
    yield NearPairs(np.concatenate([np.empty((2, 0), np.int64), *found], axis=1), compared)


def link(lowest: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
    """Joins the clusters of rows a and b, pair by pair; `lowest` is each row's cluster's lowest."""
    while True:
        a, b = lowest[a], lowest[b]
        apart = a != b
        if not apart.any():
            return
        a, b = a[apart], b[apart]
        np.minimum.at(lowest, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(above := lowest[lowest], lowest):
            lowest[:] = above


def _cut(mask: int, parts: int) -> list[int]:
    """The bits of a mask in so many runs of lengths that differ by one at most."""
    places = [place for place in range(64) if mask >> place & 1]
    bounds = [len(places) * part // parts for part in range(parts + 1)]
    return [
        sum(1 << place for place in places[low:high]) for low, high in itertools.pairwise(bounds)
    ]


def _best_masks(hashes: np.ndarray, bits: int, agreeing: int) -> list[int]:
    """The masks by which these hashes are expected to be searched the fastest."""
    count, free = len(hashes), _ALL & ~agreeing
    rows = np.arange(count)
    if count > _SAMPLE:
        rows = np.random.default_rng(0).choice(count, _SAMPLE, replace=False)
    sample = hashes[rows]
    weight = _COMPARED * (count / max(1, len(rows))) ** 2
    best, least = [0], weight * _comparisons(sample, agreeing)
    for equal in range(1, _MOST_EQUAL + 1):
        masks = masks_of(free, bits, equal)
        sorting = len(masks) * count * _SORTED
        if sorting >= least or len(masks) > _MOST_MASKS:
            break
        some = masks[:: -(-len(masks) // 8)]
        compared = sum(_comparisons(sample, agreeing | mask) for mask in some) / len(some)
        cost = sorting + weight * compared * len(masks)
        if cost < least:
            best, least = masks, cost
    return best


def _comparisons(hashes: np.ndarray, mask: int) -> float:
    """How often these are compared if those that agree in a mask are."""
    _, starts = _sorted(hashes, mask)
    sizes = np.diff(starts, append=len(hashes))
    return float((sizes * (sizes - 1)).sum())


def _largest_first(hashes: np.ndarray, mask: int) -> tuple[np.ndarray, np.ndarray]:
    """Brings hashes together that agree in a mask, the largest groups first, without single ones.

    Returns:
        order: int64 [P], the hashes' rows.
        in_larger: int64 [M - 1], how many hashes are in groups of more than 1, 2, and so on to
            M - 1, M being the size of the largest.

    """
    order, starts = _sorted(hashes, mask)
    sizes = np.diff(starts, append=len(order))
    several = np.flatnonzero(sizes > 1)
    several = several[np.argsort(-sizes[several], kind="stable")]
    starts, sizes = starts[several], sizes[several]
    ends = np.cumsum(sizes)
    count = int(ends[-1]) if len(ends) else 0
    positions = np.repeat(starts - (ends - sizes), sizes) + np.arange(count)
    groups = np.searchsorted(-sizes, -np.arange(1, sizes.max(initial=1)))
    return order[positions], np.concatenate([[0], ends])[groups]


def _sorted(hashes: np.ndarray, mask: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows by their bits in a mask, int64 [N], and where each value begins, int64 [V].

    Sixteen bits at a time, which NumPy sorts by counting.
    """
    digits = [_gathered(hashes, each) for each in _cut_at(mask, 16)]
    order = np.argsort(digits[0], kind="stable") if digits else np.arange(len(hashes))
    for digit in digits[1:]:
        order = order[np.argsort(digit[order], kind="stable")]
    changes = np.zeros(len(hashes), bool)
    changes[:1] = True
    for digit in digits:
        placed = digit[order]
        changes[1:] |= placed[1:] != placed[:-1]
    return order, np.flatnonzero(changes)


def _cut_at(mask: int, most: int) -> list[int]:
    """A mask in parts of so many bits at most."""
    return _cut(mask, -(-mask.bit_count() // most)) if mask else []


def _gathered(hashes: np.ndarray, mask: int) -> np.ndarray:
    """The up to sixteen bits of a mask side by side, uint16 [N]."""
    made = np.zeros(len(hashes), np.uint64)
    width = 0
    while mask:
        low = (mask & -mask).bit_length() - 1
        run = ((mask >> low) + 1 & ~(mask >> low)).bit_length() - 1
        made |= (hashes >> np.uint64(low) & np.uint64((1 << run) - 1)) << np.uint64(width)
        width += run
        mask &= ~(((1 << run) - 1) << low)
    return made.astype(np.uint16)


def _near_positions(
    hashes: np.ndarray, in_larger: np.ndarray, bits: int
) -> Iterator[tuple[np.ndarray, int, int]]:
    """The lower of near pairs, int64 [P], how far on the other is, and how many were compared.

    Rows are as `_largest_first` sorts them. Comparing each with the one `step` rows on compares all
    pairs of a group in turn; a pair across two groups is compared in vain, but not wrongly.
    """
    for step, end in enumerate(in_larger.tolist(), start=1):
        for start in range(0, end - step, _COMPARED_AT_ONCE):
            stop = min(start + _COMPARED_AT_ONCE, end - step)
            distance = np.bitwise_count(hashes[start:stop] ^ hashes[start + step : stop + step])
            yield start + np.flatnonzero(distance <= bits), step, stop - start
