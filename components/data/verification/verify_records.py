"""Verification of records: each one against its row, and the manifest against all rows."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.store.image_table import sort_digest
from twofold.components.data.store.manifest import (
    IMAGES_FILE,
    MANIFEST_FILE,
    File,
    Manifest,
    Shard,
    describe_file,
)
from twofold.components.data.store.shard_summary import (
    ShardSummary,
    label_counts,
    merged,
    pixel_statistics,
    summarise,
)
from twofold.components.data.verification.examine_shard import (
    Examined,
    Expected,
    Framed,
    examine,
    read_records,
)
from twofold.components.data.verification.findings import Findings, compare_file

# Records that threads examine at once, by number and by bytes.
_BATCH_RECORDS = 256
_BATCH_BYTES = 32 << 20

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
class RecordCheck:
    """Goes through the records, split after split, and then looks at what their rows add up to.

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
    _summaries: dict[str, ShardSummary] = field(default_factory=dict)
    # Row groups of the table, and images, so far.
    _groups: int = 0
    _done: int = 0
    # Whether all rows could be read, and no record is at odds with its own.
    _rows_hold: bool = True

    def check_split(self, split: str) -> None:
        """Check the records of a split's shards."""
        summaries, last = [], b""
        for number, shard in enumerate(self.manifest.splits[split].shards):
            table = self._table(shard)
            if table is not None:
                summaries.append(self._summarise(table, shard))
            if not is_there(self.directory, shard):
                continue
            try:
                last = self._check_shard(split, number, shard, table, last)
            except OSError as error:
                self.findings.add(shard.file, f"it cannot be read: {error}")
        self._summaries[split] = merged(summaries)

    def compare_sums(self) -> None:
        """Hold the manifest to what all rows add up to, where these can be relied on."""
        if not self._rows_hold:
            return
        manifest, expect = self.manifest, functools.partial(self.findings.expect, MANIFEST_FILE)
        every = merged(self._summaries.values())
        expect("images written", every.images, manifest.counts.written)
        expect("images by size", dict(every.sizes), manifest.image_sizes)
        expect("images by format", dict(every.formats), manifest.formats)
        expect("images by repair", dict(every.repairs), manifest.counts.repairs)
        for name, summary in self._summaries.items():
            split = manifest.splits[name]
            expect(f"images of {name}", summary.images, split.images)
            expect(f"images of {name} without a label", summary.labels[-1], split.unlabelled)
            for class_name, images in label_counts(summary, manifest.class_names).items():
                expect(f"images of {class_name!r} in {name}", images, split.labels.get(class_name))
        expect("channels", every.totals.channels, manifest.channels)
        if every.images:
            found = pixel_statistics(self._summaries, every.totals.channels)
            expect("mean of the values", found.mean, manifest.statistics.mean)
            expect("std of the values", found.std, manifest.statistics.std)

    def _table(self, shard: Shard) -> pa.Table | None:
        """The next shard's rows of the table, None where there are none to read."""
        table = self.index.rows(self._groups)
        self._groups += 1
        if table is None:
            self._rows_hold = False
            if self.index.opened is not None:
                self.findings.add(IMAGES_FILE, f"the rows of {shard.file} cannot be read")
            return None
        self.findings.expect(IMAGES_FILE, f"rows of {shard.file}", shard.images, len(table))
        return table

    def _summarise(self, table: pa.Table, shard: Shard) -> ShardSummary:
        try:
            summary = summarise(table)
            summary.totals.mean_and_deviation(summary.totals.channels)
            return summary
        # A deviation is the root of a number that is negative for no image.
        except (ValueError, ArithmeticError):
            self._rows_hold = False
            self.findings.add(IMAGES_FILE, f"the sums of {shard.file} are those of no images")
            return ShardSummary()

    def _check_shard(
        self, split: str, number: int, shard: Shard, table: pa.Table | None, last: bytes
    ) -> bytes:
        """Check a shard; gives the sort digest of its last image."""
        rows: dict[int, Row] = {}
        if table is not None:
            rows = {row["offset"]: row for row in table.to_pylist()}
            if len(rows) < len(table):
                self.findings.add(IMAGES_FILE, f"two rows of {shard.file} have the same offset")
        expected = Expected(
            latents=len(self.manifest.latent_names),
            raw=self.manifest.raw,
            weighted=self.manifest.weighted,
            decode=self.decode,
        )
        images, path = 0, files.join(self.directory, shard.file)
        with files.open_input(path) as file:
            framed = read_records(file, files.size(path) or 0, sorted(rows))
            for batch in _batches(framed):
                for seen in self.pool.map(functools.partial(examine, expected=expected), batch):
                    row = rows.pop(seen.framed.offset, None)
                    if table is not None and row is None:
                        self._blame(
                            shard,
                            f"{IMAGES_FILE} has no row of the record at byte {seen.framed.offset} "
                            f"of {shard.file}",
                        )
                    last = self._check_record(seen, row, (split, number), shard, last) or last
                    images += 1
                self._done += len(batch)
                if self.progress is not None:
                    self.progress(self._done)
        compare_file(shard, describe_file(self.directory, shard.file), self.findings)
        for offset, row in rows.items():
            self._blame(
                shard,
                f"{row['key']!r}: expected its record at byte {offset} of {shard.file} as in "
                f"{IMAGES_FILE}, and none begins there",
            )
        self.findings.expect(shard.file, "records", shard.images, images)
        return last

    def _check_record(
        self, seen: Examined, row: Row | None, position: tuple[str, int], shard: Shard, last: bytes
    ) -> bytes:
        """Check one record against its row; its sort digest, nothing where that is not known."""
        split, number = position
        values = {**(row or {}), **seen.facts}
        key, label = values.get("key"), values.get("label", -1)
        name = f"the record at byte {seen.framed.offset}" if key is None else repr(key)
        if seen.problem:
            self.findings.add(shard.file, f"{name}: {seen.problem}")
        if row is not None and seen.facts:
            for column, found in {**seen.facts, "split": split, "shard": number}.items():
                # By their texts, too: no number equals itself where it is none (NaN).
                if row[column] != found and repr(row[column]) != repr(found):
                    self._blame(
                        shard,
                        f"{name}: {column} is {_shown(row[column])} in {IMAGES_FILE}, and "
                        f"{_shown(found)} in {shard.file}",
                    )
        classes = len(self.manifest.class_names)
        if not -1 <= label < classes:
            self.findings.add(
                shard.file, f"{name}: expected a label from -1 to {classes - 1}, found {label}"
            )
        if key is None:
            return b""
        digest = sort_digest(key)
        if digest <= last:
            self.findings.add(
                shard.file,
                f"{name}: it is not in order: expected a sha256 of 'order:' and its key above "
                f"{last.hex()[:16]}, that of the record before, found {digest.hex()[:16]}",
            )
        return digest

    def _blame(self, shard: Shard, problem: str) -> None:
        """Add a finding where the table and a shard do not agree."""
        self._rows_hold = False
        self.findings.add(IMAGES_FILE if self.index.damaged else shard.file, problem)


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


def _shown(value: Any) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else repr(value)
