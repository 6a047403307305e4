"""Equal images and hashes: one stands for all, so that the search sees each hash once.

Two stages. `spread_images` looks at some parts, collapses what is equal there, and puts the rest
into buckets by digest and by hash; `collapse_bucket` does so with what is equal anywhere, and
spreads the hashes that are left by their bands. However often one hash occurs, a bucket has it once
from each group of parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from twofold.components.data.preparation.duplicate_search.search_area import (
    BANDED,
    DONE,
    HELD_OUT,
    HOLDS,
    IMAGE,
    LOWEST_HELD_OUT,
    MEMBER,
    Place,
    SearchArea,
    SearchSizes,
    bucket_of,
    numbers_of,
)
from twofold.components.data.preparation.staging_area import (
    StagingArea,
    fixed_binary,
    open_part,
    sort_keys_of,
    spans_of,
)
from twofold.components.data.rules.near_hashes import band_masks
from twofold.components.data.store.manifest import HELD_OUT_SPLITS

DIGEST, HASH = "digest", "hash"


def cut_parts(
    _: tuple[str, Iterable[str]], parts: tuple[str, ...], sizes: SearchSizes
) -> Iterator[tuple[str, int]]:
    """Name the groups of parts to look at; what it is handed says only that the parts are made."""
    for number in range(-(-len(parts) // sizes.parts)):
        yield f"parts {number:05d}", number


def spread_images(
    grouped: tuple[str, Iterable[int]],
    staging: StagingArea,
    parts: tuple[str, ...],
    sizes: SearchSizes,
) -> Iterator[tuple[str, Place]]:
    """Put the images of a group of parts into buckets; gives where each bucket's lie."""
    name, numbers = grouped
    (number,) = set(numbers)
    area = SearchArea(staging, sizes.folder)
    if not area.is_done(name):
        near = staging.settings.duplicates.search == "near"
        some = parts[number * sizes.parts : (number + 1) * sizes.parts]
        collapsed = {}
        for kind in (DIGEST, HASH) if near else (DIGEST,):
            rows, members = collapse(_images(some, staging, kind))
            collapsed[kind] = rows
            area.save(f"{name}.{kind}", members)
        places = area.spread(
            f"{name}.images",
            (
                (kind, rows, bucket_of(rows["value"], sizes.buckets))
                for kind, rows in collapsed.items()
            ),
        )
        area.finish(name, places)
    yield DONE, (name, 0, 0)
    yield from area.places(name)


def collapse_bucket(
    grouped: tuple[str, Iterable[Place]], staging: StagingArea, sizes: SearchSizes
) -> Iterator[tuple[str, Place]]:
    """Collapse what is equal in a bucket; gives where the bands of hashes lie."""
    name, places = grouped
    if name != DONE:
        area = SearchArea(staging, sizes.folder)
        if not area.is_done(name):
            rows, members = collapse(area.gather(places, IMAGE))
            area.save(f"{name}.members", members)
            banded: dict[str, Place] = {}
            kind, _, number = name.partition(" ")
            if kind == HASH:
                area.save(f"{name}.rows", rows[["key", "flags"]])
                bits = staging.settings.duplicates.bits
                banded = area.spread(f"{name}.bands", _bands(rows, int(number), bits, sizes))
            area.finish(name, banded, images=len(rows))
        yield from area.places(name)
    yield DONE, (name, 0, 0)


def collapse(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of those with equal values keep that of the lowest sort key; the others are its members.

    Args:
        images: IMAGE [N].

    Returns:
        rows: IMAGE [D], which holds a held-out image if one of those that it stands for is.
        members: MEMBER [N - D].

    """
    order = np.lexsort((*images["key"].T[::-1], *images["value"].T[::-1]))
    images = images[order]
    changes = (images["value"][1:] != images["value"][:-1]).any(axis=1)
    starts = np.flatnonzero(np.append(True, changes)[: len(images)])
    rows = images[starts]
    own = rows["flags"] & HELD_OUT
    if len(rows):
        rows["flags"] |= HOLDS & np.bitwise_or.reduceat(images["flags"], starts)
    which = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(images)))
    others = np.delete(np.arange(len(images)), starts)
    members = np.empty(len(others), MEMBER)
    members["key"] = images["key"][others]
    members["lowest"] = rows["key"][which[others]]
    members["flags"] = images["flags"][others] & HELD_OUT
    members["flags"] |= np.where(own[which[others]], LOWEST_HELD_OUT, 0).astype(np.uint8)
    return rows, members


def _images(parts: Iterable[str], staging: StagingArea, kind: str) -> np.ndarray:
    """The parts' images, IMAGE [N], by digest or, of those whose hash says something, by hash."""
    found = [np.empty(0, IMAGE)]
    for part in parts:
        opened = open_part(staging, part)
        rows = np.zeros(len(opened), IMAGE)
        rows["key"] = sort_keys_of(opened)
        for split, (first, last) in spans_of(opened).items():
            if split in HELD_OUT_SPLITS:
                rows["flags"][first:last] = HELD_OUT | HOLDS
        if kind == DIGEST:
            rows["value"] = fixed_binary(opened.column("pixel_digest")).view(np.uint64)
            found.append(rows)
        else:
            rows["value"][:, 0] = opened.column("perceptual_hash")
            rows["value"][:, 1] = opened.column("detail_hash")
            found.append(rows[rows["value"][:, 0] != 0])
    return np.concatenate(found)


def _bands(
    rows: np.ndarray, bucket: int, bits: int, sizes: SearchSizes
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The rows once for each band, and the bucket by it."""
    banded = np.empty(len(rows), BANDED)
    banded["hash"], banded["detail"] = rows["value"].T
    banded["number"] = numbers_of(bucket, rows["flags"])
    for band, mask in enumerate(band_masks(bits)):
        yield f"band {band:02d}", banded, bucket_of(banded["hash"] & np.uint64(mask), sizes.buckets)
