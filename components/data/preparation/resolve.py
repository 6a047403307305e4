"""Deduplication, leakage and sharding, decided by one worker: the second stage.

It looks at all images at once, at about a hundred bytes of each: sort key, split, size, digests and
group. Shards are ranges of sort keys, halved until each is small enough, so that an image more
or less changes the shard that it falls into and no other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twofold.components import files
from twofold.components.data.preparation.duplicate_search.join_clusters import join_clusters
from twofold.components.data.preparation.duplicate_search.search_area import SearchSizes
from twofold.components.data.preparation.staging_area import (
    REMOVED,
    RESOLUTION,
    ShardRange,
    StagingArea,
    fixed_binary,
    open_part,
    read_rejects,
    sort_keys_of,
    spans_of,
    structured_sort_keys,
    write_json,
)
from twofold.components.data.rules.duplicates import Duplicates, find_duplicates
from twofold.components.data.rules.prepare_settings import check_rejects
from twofold.components.data.store.manifest import HELD_OUT_SPLITS
from twofold.components.errors import DataError

_SHOWN_CLUSTERS = 60
_SHOWN_MEMBERS = 6
_SHOWN_REJECTS = 3


@dataclass(frozen=True)
class Everything:
    """Columns over all images that were accepted, ascending by sort key.

    So a row that stands for others is the same whatever order the source lists its
    images in.

    Attributes:
        parts: the parts' names.
        starts: how many rows the parts before each one have, and last how many all have.
        origins: which of these rows each is, counted over all parts, int64 [N].
        sort_keys: uint64 [N, 2].
        splits: a number for each split, int8 [N].
        split_names: the splits that the numbers mean.
        sizes: bytes to store, int64 [N].
        digests: of the pixels, uint64 [N, 2].
        hashes: perceptual, uint64 [N].
        details: the second perceptual hash, uint64 [N].
        labels: int32 [N].
        groups: a hash of the group, uint64 [N], 0 where there is none.

    """

    parts: tuple[str, ...]
    starts: np.ndarray
    origins: np.ndarray
    sort_keys: np.ndarray
    splits: np.ndarray
    split_names: tuple[str, ...]
    sizes: np.ndarray
    digests: np.ndarray
    hashes: np.ndarray
    details: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    @property
    def held_out(self) -> np.ndarray:
        """Whether a row is in a split that is held out, bool [N]."""
        numbers = [n for n, name in enumerate(self.split_names) if name in HELD_OUT_SPLITS]
        return np.isin(self.splits, numbers)

    def locate(self, row: int) -> tuple[str, int]:
        """The part and the row in it."""
        origin = int(self.origins[row])
        part = int(np.searchsorted(self.starts, origin, side="right")) - 1
        return self.parts[part], origin - int(self.starts[part])


def resolve(
    _: tuple[str, Iterable[str]],
    staging: StagingArea,
    parts: tuple[str, ...],
    search: SearchSizes | None = None,
) -> Iterator[tuple[str, ShardRange]]:
    """Decide over all parts, write the decision down, and give each shard to write by its name.

    What it is handed says only that the parts are made, or that a search by many workers has found
    the duplicates; without `search` they are found here.

    Raises:
        DataError: too many images were rejected, or all, or two have the same key.

    """
    rejects = _count_rejects(parts, staging)
    every = _gather(parts, staging)
    check_rejects(
        len(every.sort_keys) + rejects["rejected"],
        rejects["rejected"],
        rejects["reasons"],
        rejects["examples"],
        staging.settings.max_reject_share,
    )
    _check_keys(every, staging)
    found = _find(every, staging, search)
    leaked = found.leaked | _leaked_groups(every)
    removed = _removed(every, found, leaked, staging)
    shard_ranges = list(_shard_ranges(every, ~removed, staging))
    with files.new_file(staging.path("parts", REMOVED)) as file:
        np.save(file, structured_sort_keys(every.sort_keys[removed]))
    sought = staging.settings.duplicates.search
    alike_exactly, alike = _has_another(found.exact), _has_another(found.near)
    write_json(
        staging.path("parts", RESOLUTION),
        {
            "shard_ranges": [asdict(shard_range) for shard_range in shard_ranges],
            "read": len(every.sort_keys) + rejects["rejected"],
            "reasons": rejects["reasons"],
            "duplicates": {
                "exact": None if sought == "off" else int(alike_exactly.sum()),
                "near": int(alike.sum()) if sought == "near" else None,
                "leaked": None if sought == "off" else int(leaked.sum()),
                "conflicting_labels": None if sought == "off" else _conflicts(every, found),
                "removed_within": int((removed & ~leaked).sum()),
                "removed_leaked": int((removed & leaked).sum()),
            },
            "clusters": _examples(every, found, leaked, removed),
        },
    )
    for shard_range in shard_ranges:
        yield shard_range.name, shard_range


def _count_rejects(parts: Sequence[str], staging: StagingArea) -> dict[str, Any]:
    reasons: Counter[str] = Counter()
    first: list[tuple[str, str]] = []
    for part in parts:
        for reject in read_rejects(part, staging, parts):
            reasons[reject["reason"]] += 1
            key = reject["key"]
            first.append((key, f"{key} ({reject['reason']}: {reject['detail']})"))
        first = sorted(first)[:_SHOWN_REJECTS]
    return {
        "rejected": sum(reasons.values()),
        "reasons": dict(sorted(reasons.items())),
        "examples": [text for _, text in first],
    }


def _gather(parts: Sequence[str], staging: StagingArea) -> Everything:
    opened = [open_part(staging, part) for part in parts]
    names = tuple(sorted({name for part in opened for name in spans_of(part)}))
    starts = np.cumsum([0, *(len(part) for part in opened)])
    count = int(starts[-1])
    # Filled in place: what a million images take is held once.
    columns: dict[str, np.ndarray] = {
        "sort_keys": np.empty((count, 2), np.uint64),
        "splits": np.empty(count, np.int8),
        "sizes": np.empty(count, np.int64),
        "digests": np.empty((count, 2), np.uint64),
        "hashes": np.empty(count, np.uint64),
        "details": np.empty(count, np.uint64),
        "labels": np.empty(count, np.int32),
        "groups": np.empty(count, np.uint64),
    }
    for part, start, stop in zip(opened, starts, starts[1:], strict=False):
        filled = {name: column[start:stop] for name, column in columns.items()}
        for name, (first, last) in spans_of(part).items():
            filled["splits"][first:last] = names.index(name)
        filled["sort_keys"][:] = sort_keys_of(part)
        filled["sizes"][:] = part.column("stored_bytes")
        filled["digests"][:] = fixed_binary(part.column("pixel_digest")).view(np.uint64)
        filled["hashes"][:] = part.column("perceptual_hash")
        filled["details"][:] = part.column("detail_hash")
        filled["labels"][:] = part.column("label")
        filled["groups"][:] = _group_hashes(part.column("group").to_pylist())
    origins = np.lexsort((columns["sort_keys"][:, 1], columns["sort_keys"][:, 0]))
    for name in columns:
        columns[name] = columns[name][origins]
    return Everything(
        parts=tuple(parts), starts=starts, split_names=names, origins=origins, **columns
    )


def _group_hashes(groups: Sequence[str | None]) -> np.ndarray:
    return np.array(
        [
            0 if group is None else int.from_bytes(hashlib.sha256(group.encode()).digest()[:8]) | 1
            for group in groups
        ],
        np.uint64,
    )


def _check_keys(every: Everything, staging: StagingArea) -> None:
    same = (every.sort_keys[1:] == every.sort_keys[:-1]).all(axis=1)
    if same.any():
        part, row = every.locate(int(np.flatnonzero(same)[0]))
        key = open_part(staging, part).column("key")[row].as_py()
        raise DataError(
            f"two images have the key {key!r}; every image of a source needs a key of its own"
        )


def _find(every: Everything, staging: StagingArea, search: SearchSizes | None) -> Duplicates:
    if search is not None:
        return join_clusters(staging, search).among(every.sort_keys)
    rules = staging.settings.duplicates
    if rules.search == "off":
        own = np.arange(len(every.sort_keys))
        return Duplicates(own, own, np.zeros(len(own), bool))
    return find_duplicates(
        every.digests,
        every.hashes,
        every.held_out,
        every.hashes != 0,
        bits=rules.bits if rules.search == "near" else None,
        details=every.details,
    )


def _has_another(cluster: np.ndarray) -> np.ndarray:
    shared: np.ndarray = np.bincount(cluster, minlength=len(cluster))[cluster] > 1
    return shared


def _leaked_groups(every: Everything) -> np.ndarray:
    """Rows in training whose group has images that are held out."""
    held_out = every.held_out
    shared = np.unique(every.groups[held_out])
    straddling: np.ndarray = ~held_out & (every.groups != 0) & np.isin(every.groups, shared)
    return straddling


def _conflicts(every: Everything, found: Duplicates) -> int:
    """How many images have equal pixels with another of another label."""
    labelled = np.flatnonzero(every.labels >= 0)
    pairs = np.unique(np.stack([found.exact[labelled], every.labels[labelled]], axis=1), axis=0)
    labels = np.bincount(pairs[:, 0], minlength=len(every.labels))
    return int((labels[found.exact[labelled]] > 1).sum())


def _removed(
    every: Everything, found: Duplicates, leaked: np.ndarray, staging: StagingArea
) -> np.ndarray:
    rules = staging.settings.duplicates
    removed = leaked.copy() if rules.leakage == "remove" else np.zeros(len(leaked), bool)
    if rules.within == "remove":
        rows = np.flatnonzero(~removed)
        clusters = np.stack([found.near[rows], every.splits[rows]], axis=1)
        _, first = np.unique(clusters, axis=0, return_index=True)
        removed[np.delete(rows, first)] = True
    return removed


def _shard_ranges(
    every: Everything, kept: np.ndarray, staging: StagingArea
) -> Iterator[ShardRange]:
    settings = staging.settings
    for number, split in enumerate(every.split_names):
        rows = np.flatnonzero(kept & (every.splits == number))
        firsts, sizes = every.sort_keys[rows, 0], every.sizes[rows]
        yield from cut(split, firsts, sizes, settings.images_per_shard, settings.shard_bytes)


def cut(
    split: str, firsts: np.ndarray, sizes: np.ndarray, most_images: int, most_bytes: int
) -> Iterator[ShardRange]:
    """The shards of a split: ranges of sort keys, halved until each is small enough.

    A shard has at most so many images and bytes, but for one image that is larger by itself.

    Args:
        split: the split's name.
        firsts: the first words of its images' sort keys, uint64 [N], ascending.
        sizes: their bytes, int64 [N].
        most_images: in a shard.
        most_bytes: in a shard.

    """
    ends = np.concatenate([[0], np.cumsum(sizes)])
    waiting = [""]
    while waiting:
        bits = waiting.pop()
        low, high = ShardRange(split, bits, 0).bounds()
        start = int(np.searchsorted(firsts, np.uint64(low)))
        stop = len(firsts)
        if high < 1 << 64:
            stop = int(np.searchsorted(firsts, np.uint64(high)))
        images = stop - start
        fits = images <= most_images and int(ends[stop] - ends[start]) <= most_bytes
        if images > 1 and not fits and len(bits) < 64:
            waiting += [f"{bits}1", f"{bits}0"]
        elif images:
            yield ShardRange(split, bits, images)


def _examples(
    every: Everything, found: Duplicates, leaked: np.ndarray, removed: np.ndarray
) -> list[dict[str, Any]]:
    """Clusters to look at, those with a leak first, each with where its members' rows are."""
    alike = np.flatnonzero(_has_another(found.near))
    if not len(alike):
        return []
    # A cluster's members side by side, in their order, and where each cluster begins.
    rows = alike[np.argsort(found.near[alike], kind="stable")]
    starts = np.flatnonzero(np.diff(found.near[rows], prepend=-1))
    sizes = np.diff(starts, append=len(rows))
    leaks = np.logical_or.reduceat(leaked[rows], starts)
    exact = found.exact[rows]
    same = np.minimum.reduceat(exact, starts) == np.maximum.reduceat(exact, starts)
    shown = np.lexsort((rows[starts], same, ~leaks))[:_SHOWN_CLUSTERS]
    held_out = every.held_out
    examples = []
    for cluster in shown.tolist():
        members = rows[starts[cluster] : starts[cluster] + sizes[cluster]]
        examples.append(
            {
                "kind": "exact" if same[cluster] else "near",
                "leaked": bool(leaks[cluster]),
                "size": len(members),
                "members": [
                    {"location": every.locate(row), "kept": not removed[row]}
                    for row in _chosen(members, leaked, held_out)
                ],
            }
        )
    return examples


def _chosen(members: np.ndarray, leaked: np.ndarray, held_out: np.ndarray) -> list[int]:
    """A few members; of a leak some from either side."""
    if leaked[members].any() and len(members) > _SHOWN_MEMBERS:
        half = _SHOWN_MEMBERS // 2
        sides = [members[leaked[members]][:half], members[held_out[members]][:half]]
        return [int(row) for side in sides for row in side]
    return [int(row) for row in members[:_SHOWN_MEMBERS]]
