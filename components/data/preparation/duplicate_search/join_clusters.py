"""Clusters of duplicates, from what the workers of a search found: its last step, in one worker.

It holds what has a duplicate or a near one alone: some 280 bytes of each such image.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

import numpy as np

from twofold.components.data.preparation.duplicate_search.collapse_equal import DIGEST, HASH
from twofold.components.data.preparation.duplicate_search.search_area import (
    HELD_OUT,
    LOWEST_HELD_OUT,
    MEMBER,
    SearchArea,
    SearchSizes,
    rows_of,
)
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.rules.duplicates import Duplicates, distinct
from twofold.components.data.rules.near_hashes import link


@dataclass(frozen=True)
class FoundDuplicates:
    """The images that resemble another one, and how.

    Attributes:
        keys: their sort keys, uint64 [M, 2], ascending.
        duplicates: rows among these.

    """

    keys: np.ndarray
    duplicates: Duplicates

    def among(self, sort_keys: np.ndarray) -> Duplicates:
        """Rows among all images, whose sort keys, uint64 [N, 2], ascend."""
        rows = np.searchsorted(sort_keys[:, 0], self.keys[:, 0])
        while (later := (sort_keys[rows] != self.keys).any(axis=1)).any():
            rows += later
        exact, near = np.arange(len(sort_keys)), np.arange(len(sort_keys))
        leaked = np.zeros(len(sort_keys), bool)
        exact[rows] = rows[self.duplicates.exact]
        near[rows] = rows[self.duplicates.near]
        leaked[rows] = self.duplicates.leaked
        return Duplicates(exact, near, leaked)


def join_clusters(staging: StagingArea, sizes: SearchSizes) -> FoundDuplicates:
    """Join what all workers found."""
    area = SearchArea(staging, sizes.folder)
    same, alike = (
        _load(area, np.empty(0, MEMBER), f"parts *.{kind}", f"{kind} *.members")
        for kind in (DIGEST, HASH)
    )
    joined = _load(area, np.empty((0, 2), np.uint64), "*.joined")
    touched = _load(area, np.empty(0, np.uint64), "*.touched")
    numbers, which = np.unique(np.concatenate([joined.ravel(), touched]), return_inverse=True)
    near_keys, near_held = _look_up(area, numbers)
    every = np.concatenate([same["key"], same["lowest"], alike["key"], alike["lowest"], near_keys])
    first, rows = distinct(every[:, 0], every[:, 1])
    same_rows, same_lowest, alike_rows, alike_lowest, near_rows = np.split(
        rows, np.cumsum([len(same), len(same), len(alike), len(alike)])
    )
    held = np.zeros(len(first), bool)
    held[near_rows[near_held]] = True
    for members, own, lowest in ((same, same_rows, same_lowest), (alike, alike_rows, alike_lowest)):
        held[own[members["flags"] & HELD_OUT != 0]] = True
        held[lowest[members["flags"] & LOWEST_HELD_OUT != 0]] = True
    joined_rows, touched_rows = np.split(near_rows[which], [joined.size])
    exact, equal = np.arange(len(first)), np.arange(len(first))
    link(exact, same_rows, same_lowest)
    link(equal, alike_rows, alike_lowest)
    near = exact.copy()
    link(near, alike_rows, alike_lowest)
    link(near, joined_rows[::2], joined_rows[1::2])
    # What has equal pixels or hashes with a held-out image, or is near one.
    by_pixels, by_hash = np.zeros(len(first), bool), np.zeros(len(first), bool)
    by_pixels[exact[held]] = True
    by_hash[equal[held]] = True
    by_hash[equal[touched_rows]] = True
    leaked = (by_pixels[exact] | by_hash[equal]) & ~held
    return FoundDuplicates(every[first], Duplicates(exact, near, leaked))


def comparisons(staging: StagingArea, sizes: SearchSizes) -> int:
    """How many pairs of hashes the workers compared."""
    area = SearchArea(staging, sizes.folder)
    names = fnmatch.filter(area.names(), "band *.json")
    return sum(area.count(name.removesuffix(".json"), "compared") for name in names)


def _load(area: SearchArea, none: np.ndarray, *patterns: str) -> np.ndarray:
    names = area.names()
    found = [area.load(name) for each in patterns for name in sorted(fnmatch.filter(names, each))]
    return np.concatenate([none, *found])


def _look_up(area: SearchArea, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sort keys, uint64 [N, 2], of rows by their numbers, and whether each is held out."""
    keys, held = np.empty((len(numbers), 2), np.uint64), np.zeros(len(numbers), bool)
    buckets, rows = rows_of(numbers)
    for bucket in np.unique(buckets).tolist():
        loaded = area.load(f"{HASH} {bucket:05d}.rows")
        chosen = buckets == bucket
        keys[chosen] = loaded["key"][rows[chosen]]
        held[chosen] = loaded["flags"][rows[chosen]] & HELD_OUT != 0
    return keys, held
