"""Verification of records against the image table, and of the manifest against both."""

from __future__ import annotations

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.store.manifest import IMAGES_FILE, MANIFEST_FILE, File, Manifest, Shard
from twofold.components.data.store.pixel_statistics import PixelTotals
from twofold.components.data.verification.examine_shard import (
    Examined,
    Expected,
    Framed,
    Reader,
    examine,
    read_records,
)
from twofold.components.data.verification.findings import Findings, compare_file

# Records that threads examine at once, by number and by bytes.
_BATCH_RECORDS = 256
_BATCH_BYTES = 32 << 20
_SUMMED = ("label", "height", "width", "sums", "squares")

Row = dict[str, Any]


def is_there(directory: Path | str, file: File) -> bool:
    """Whether a listed file is there to look at."""
    return "/" not in file.file and files.size(files.join(directory, file.file)) is not None


@dataclass(frozen=True)
class Index:
    """The table, as far as it can be read; `damaged` tells whether its file is as recorded."""

    opened: pq.ParquetFile | None
    damaged: bool

    def rows(self, group: int, columns: list[str] | None = None) -> pa.Table | None:
        """A shard's rows, None where they cannot be read."""
        if self.opened is None or group >= self.opened.num_row_groups:
            return None
        try:
            table = self.opened.read_row_group(group, columns=columns)
            table.validate(full=True)
            return table
        # The library reports damage by many types.
        except (pa.ArrowException, OSError, ValueError):
            return None


@dataclass
class _Tally:
    """What the records of one split add up to."""

    images: int = 0
    labels: Counter[int] = field(default_factory=Counter)
    totals: PixelTotals = field(default_factory=PixelTotals)


@dataclass
class RecordCheck:
    """Goes through the records, split after split, and then looks at what they add up to.

    Attributes:
        directory: the dataset's.
        manifest: the dataset's.
        index: its table.
        findings: takes what is wrong.
        pool: examines records.
        decode: whether images are decoded.
        progress: called with how many images are done.

    """

    directory: Path | str
    manifest: Manifest
    index: Index
    findings: Findings
    pool: Executor
    decode: bool
    progress: Callable[[int], None] | None
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    _sizes: Counter[str] = field(default_factory=Counter)
    _formats: Counter[str] = field(default_factory=Counter)
    _repairs: Counter[str] = field(default_factory=Counter)
    # Row groups of the table, and images, so far.
    _groups: int = 0
    _done: int = 0
    # Whether what each image adds to the sums is known, and so is what the table says of it.
    _summed: bool = True
    _indexed: bool = True

    def check_split(self, split: str) -> None:
        """Check the records of a split's shards."""
        self._tallies[split] = _Tally()
        last = b""
        for number, shard in enumerate(self.manifest.splits[split].shards):
            rows = self._rows(shard)
            if not is_there(self.directory, shard):
                self._summed = self._indexed = False
                continue
            try:
                last = self._check_shard(split, number, shard, rows, last)
            except OSError as error:
                self._summed = self._indexed = False
                self.findings.add(shard.file, f"it cannot be read: {error}")

    def compare_sums(self) -> None:
        """Hold the manifest to what all records add up to, if all could be read."""
        manifest, expect = self.manifest, functools.partial(self.findings.expect, MANIFEST_FILE)
        if self._indexed:
            expect("images by format", dict(self._formats), manifest.formats)
            expect("images by repair", dict(self._repairs), manifest.counts.repairs)
        if not self._summed:
            return
        images = sum(tally.images for tally in self._tallies.values())
        expect("images written", images, manifest.counts.written)
        expect("images by size", dict(self._sizes), manifest.image_sizes)
        for name, tally in self._tallies.items():
            split = manifest.splits[name]
            expect(f"images of {name}", tally.images, split.images)
            expect(f"images of {name} without a label", tally.labels[-1], split.unlabelled)
            for label, class_name in enumerate(manifest.class_names):
                counted = tally.labels[label]
                expect(f"images of {class_name!r} in {name}", counted, split.labels.get(class_name))
        channels = PixelTotals().merge(tally.totals for tally in self._tallies.values()).channels
        expect("channels", channels, manifest.channels)
        self._compare_statistics(channels)

    def _compare_statistics(self, channels: int) -> None:
        statistics = self.manifest.statistics
        known = [self._tallies[name] for name in statistics.splits if name in self._tallies]
        if not any(tally.images for tally in known):
            return
        found = PixelTotals().merge(tally.totals for tally in known).mean_and_deviation(channels)
        for name, exact, recorded in zip(
            ("mean", "std"), found, (statistics.mean, statistics.std), strict=True
        ):
            if len(exact) != len(recorded) or not all(
                math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
                for one, other in zip(exact, recorded, strict=True)
            ):
                self.findings.expect(MANIFEST_FILE, f"{name} of the values", exact, list(recorded))

    def _rows(self, shard: Shard) -> dict[int, Row] | None:
        """The next shard's rows of the table by their offset, None where there are none to read."""
        table = self.index.rows(self._groups)
        self._groups += 1
        if table is None:
            self._indexed = False
            if self.index.opened is not None:
                self.findings.add(IMAGES_FILE, f"the rows of {shard.file} cannot be read")
            return None
        self.findings.expect(IMAGES_FILE, f"rows of {shard.file}", shard.images, len(table))
        rows = {row["offset"]: row for row in table.to_pylist()}
        if len(rows) < len(table):
            self.findings.add(IMAGES_FILE, f"two rows of {shard.file} have the same offset")
        return rows

    def _check_shard(
        self, split: str, number: int, shard: Shard, rows: dict[int, Row] | None, last: bytes
    ) -> bytes:
        """Check a shard; gives the order of its last image."""
        expected = Expected(
            latents=len(self.manifest.latent_names),
            raw=self.manifest.raw,
            weighted=self.manifest.weighted,
            decode=self.decode,
        )
        images, left = 0, dict(rows or {})
        path = files.join(self.directory, shard.file)
        with files.open_input(path) as file:
            reader = Reader(file, shard.file)
            framed = read_records(reader, files.size(path) or 0, sorted(left))
            for batch in _batches(framed):
                look = functools.partial(examine, expected=expected)
                for seen in self.pool.map(look, batch):
                    row = left.pop(seen.framed.offset, None)
                    if rows is not None and row is None:
                        self._indexed = False
                        where = f"byte {seen.framed.offset} of {shard.file}"
                        self.findings.add(
                            self._blamed(shard),
                            f"{IMAGES_FILE} has no row of the record at {where}",
                        )
                    order = self._check_record(seen, row, (split, number), shard, last)
                    last = order or last
                    images += 1
                self._done += len(batch)
                if self.progress is not None:
                    self.progress(self._done)
            compare_file(shard, reader.finish(), self.findings)
        for offset, row in left.items():
            self.findings.add(
                self._blamed(shard),
                f"{row['key']!r}: expected its record at byte {offset} of {shard.file} as in "
                f"{IMAGES_FILE}, and none begins there",
            )
        self.findings.expect(shard.file, "records", shard.images, images)
        return last

    def _check_record(
        self, seen: Examined, row: Row | None, position: tuple[str, int], shard: Shard, last: bytes
    ) -> bytes:
        """Check one record against its row; gives its order, nothing where that is not known."""
        split, number = position
        values = {**(row or {}), **seen.facts}
        key = values.get("key")
        name = f"the record at byte {seen.framed.offset}" if key is None else repr(key)
        if seen.problem:
            self.findings.add(shard.file, f"{name}: {seen.problem}")
        if row is not None and seen.facts:
            for column, found in {**seen.facts, "split": split, "shard": number}.items():
                # By their texts, too: no number equals itself where it is none (NaN).
                if row[column] != found and repr(row[column]) != repr(found):
                    self.findings.add(
                        self._blamed(shard),
                        f"{name}: {column} is {_shown(row[column])} in {IMAGES_FILE}, and "
                        f"{_shown(found)} in {shard.file}",
                    )
        self._add(values, split, shard, name)
        if key is None:
            return b""
        order = hashlib.sha256(f"order:{key}".encode()).digest()
        if order <= last:
            self.findings.add(
                shard.file,
                f"{name}: it is not in order: expected a sha256 of 'order:' and its key above "
                f"{last.hex()[:16]}, that of the record before, found {order.hex()[:16]}",
            )
        return order

    def _add(self, values: Row, split: str, shard: Shard, name: str) -> None:
        """Count an image, by what is in its record or else by its row."""
        if "format" in values:
            self._formats[values["format"]] += 1
            if values["repair"]:
                self._repairs[values["repair"]] += 1
        if not all(column in values for column in _SUMMED):
            self._summed = False
            return
        label, classes = values["label"], len(self.manifest.class_names)
        if not -1 <= label < classes:
            self.findings.add(
                shard.file, f"{name}: expected a label from -1 to {classes - 1}, found {label}"
            )
        tally = self._tallies[split]
        tally.images += 1
        tally.labels[label] += 1
        height, width = values["height"], values["width"]
        self._sizes[f"{height}x{width}"] += 1
        sums, squares = values["sums"], values["squares"]
        if _possible(height, width, sums, squares):
            tally.totals.add(height * width, sums, squares)
        else:
            self._summed = False
            self.findings.add(
                IMAGES_FILE, f"{name}: no {height} x {width} pixels have the sums {sums}, {squares}"
            )

    def _blamed(self, shard: Shard) -> str:
        """The file that is at fault where the table and a shard do not agree."""
        return IMAGES_FILE if self.index.damaged else shard.file


def _batches(records: Iterable[Framed]) -> Iterator[list[Framed]]:
    batch: list[Framed] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.data)
        if len(batch) == _BATCH_RECORDS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _possible(height: int, width: int, sums: list[int], squares: list[int]) -> bool:
    """Whether some image has these sums of its values and of their squares by channel."""
    pixels = height * width
    return (
        len(sums) == len(squares)
        and len(sums) in (1, 3)
        and min(height, width) > 0
        # No square of a mean is above the mean of the squares.
        and all(
            s <= 255 * pixels and s * s <= pixels * q for s, q in zip(sums, squares, strict=True)
        )
    )


def _shown(value: Any) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else repr(value)
