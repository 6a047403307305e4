"""The work of `prepare` on one chunk and on one group of rows, free of any runner.

`scan` checks every image of a chunk and says where it belongs; a runner groups what it says, and
`write_group` writes each group. Rows hold positions and hashes, never pixels: the writer reads the
images again. What is written about a group lies in the `parts` folder for whoever started the run,
because a folder is the one thing that all runners can hand back.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import tensorflow as tf

from components.data import schema
from components.data.errors import DataError
from components.data.images import RejectedError, check, encode
from components.data.manifest import REJECTS_FILE
from components.data.sources.base import Chunk, Item, Source
from components.data.statistics import Statistics

# A runner groups rows by such a name: `images <split> <shard>`, `statistics <split>` or `rejects`.
Group = str
Rows = tuple[tuple[Any, ...], ...]

# Records of one shard are put in order in memory up to this many bytes, and on disk beyond.
_SORT_IN_MEMORY = 64 << 20


@dataclass(frozen=True)
class Plan:
    """What decides where an image goes: shards by split, and the rule for images without a split.

    Attributes:
        shards: how many shards each split is spread over.
        test_share: of the images whose source names no split, the share that goes to `test`.
        split_seed: salts the hash that decides it.
        validation_share: of the images that would then be in `train`, the share that goes to
            `validation` instead.

    """

    shards: Mapping[str, int]
    test_share: float
    split_seed: int
    validation_share: float = 0.0

    def split_of(self, item: Item) -> str:
        """The item's own split, or `test` or `train` by a salted hash; then `validation`'s part."""
        split = item.split
        if split is None:
            split = "test" if self._drawn("split", item.key) < self.test_share else "train"
        if split == "train" and self._drawn("validation", item.key) < self.validation_share:
            return "validation"
        return split

    def _drawn(self, purpose: str, key: str) -> Fraction:
        """A number in [0, 1) that belongs to the purpose, the seed and the key."""
        digest = _digest(f"{purpose}:{self.split_seed}:{key}")
        return Fraction(int.from_bytes(digest[:8]), 2**64)


def scan(chunk: Chunk, source: Source, plan: Plan, directory: str) -> Iterator[tuple[Group, Rows]]:
    """Check a chunk's images and sort them into groups; leave a mark of it in the staging folder.

    Rows of an image are (order, position, keep_bytes), `order` being a hash of its key; of a
    rejected one (key, reason, detail); of statistics one (json,).
    """
    groups: dict[Group, list[tuple[Any, ...]]] = defaultdict(list)
    statistics: dict[str, Statistics] = defaultdict(Statistics)
    for position, item in enumerate(source.read(chunk), start=chunk.start):
        try:
            if item.problem is not None:
                raise RejectedError("unreadable", item.problem)
            checked = check(item.image)
        except RejectedError as rejected:
            groups["rejects"].append((item.key, rejected.reason, rejected.detail))
            continue
        split = plan.split_of(item)
        order = _digest(f"order:{item.key}")
        shard = int.from_bytes(order[:8]) % plan.shards[split]
        row = (order, position, checked.keep_bytes)
        groups[f"images {split} {shard:05d}"].append(row)
        statistics[split].add(checked.pixels)
    (parts_folder(directory) / f"checked {chunk.start} {chunk.stop}").touch()
    for group, rows in groups.items():
        yield group, tuple(rows)
    for split, counted in statistics.items():
        yield f"statistics {split}", ((counted.to_json(),),)


def write_group(
    grouped: tuple[Group, Iterable[Rows]], source: Source, directory: str
) -> Iterator[None]:
    """Write one group into the staging folder; doing it twice leaves the same files."""
    group, bundles = grouped
    rows = (row for bundle in bundles for row in bundle)
    kind, *names = group.split(" ")
    if kind == "images":
        split, shard = names
        _write_shard(rows, source, Path(directory), split, shard)
    elif kind == "statistics":
        merged = Statistics()
        for (text,) in rows:
            merged.merge(Statistics.from_json(text))
        _write_text(parts_folder(directory) / f"{group}.json", merged.to_json())
    else:
        _write_rejects(rows, Path(directory))
    yield from ()


def parts_folder(directory: Path | str) -> Path:
    """Where in the staging folder each group's account lies until the manifest is made."""
    return Path(directory) / "parts"


def images_done(directory: Path | str) -> int:
    """How many images are through so far; one that is checked and not yet written counts half."""
    halves = 0
    for path in parts_folder(directory).iterdir():
        kind, *names = path.stem.split(" ")
        if kind == "checked":
            start, stop = map(int, names)
            halves += stop - start
        elif kind == "images" and path.suffix == ".json":
            halves += json.loads(path.read_text(encoding="utf-8"))["images"]
    return halves // 2


def _write_shard(
    rows: Iterable[tuple[Any, ...]], source: Source, directory: Path, split: str, shard: str
) -> None:
    by_position = sorted(rows, key=lambda row: row[1])
    items = source.pick([position for _, position, _ in by_position])
    places: list[tuple[bytes, int, int]] = []
    labels: Counter[int] = Counter()
    path = parts_folder(directory) / f"images {split} {shard}.tfrecord"
    staged = _staged_name(path)
    # Read in the source's order, which for some archives is the only affordable one, and written in
    # the order of the hashes.
    with SpooledTemporaryFile(max_size=_SORT_IN_MEMORY, dir=str(directory)) as spool:
        for (order, _, keep_bytes), item in zip(by_position, items, strict=True):
            if item.problem is not None:
                raise DataError(f"{item.key}: became unreadable during preparation: {item.problem}")
            image = encode(item.image, keep_bytes)
            record = schema.serialize(item.key, image, item.label, item.latents)
            places.append((order, spool.tell(), len(record)))
            spool.write(record)
            labels[item.label] += 1
        places.sort()
        with tf.io.TFRecordWriter(str(staged)) as writer:
            for _, start, length in places:
                spool.seek(start)
                writer.write(spool.read(length))
    _publish(staged, path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    account = {
        "split": split,
        "file": path.name,
        "images": len(places),
        "bytes": path.stat().st_size,
        "sha256": digest,
        "labels": labels,
    }
    _write_text(path.with_suffix(".json"), json.dumps(account))


def _write_rejects(rows: Iterable[tuple[Any, ...]], directory: Path) -> None:
    ordered = sorted(rows)
    lines = [
        json.dumps({"key": key, "reason": reason, "detail": detail})
        for key, reason, detail in ordered
    ]
    _write_text(directory / REJECTS_FILE, "".join(f"{line}\n" for line in lines))
    reasons = Counter(reason for _, reason, _ in ordered)
    examples = [f"{key} ({reason}: {detail})" for key, reason, detail in ordered[:3]]
    account = json.dumps({"reasons": reasons, "examples": examples})
    _write_text(parts_folder(directory) / "rejects.json", account)


def _write_text(path: Path, text: str) -> None:
    staged = _staged_name(path)
    staged.write_text(text, encoding="utf-8")
    _publish(staged, path)


def _staged_name(path: Path) -> Path:
    # Runners may start the same work twice at a time, so each attempt has a name of its own.
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}")


def _publish(staged: Path, path: Path) -> None:
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    staged.replace(path)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
