"""Merge of parts into runs, so that a shard of a large data set reads its own rows and no others.

Every part has rows of every shard. Beyond `MOST_PARTS` of them, opening each for each shard would
take more time the square of the images. So once the shards are decided upon, groups of parts are
merged: a run has the rows of its parts shard by shard, one record batch each, beside a spool of the
images in the same order. A shard then reads one batch and one span of the spool of each run.

Rows pass through files and not through the engine: engines keep what they shuffle in memory, some
of them in that of the process which started the pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import IO

import numpy as np
import pyarrow as pa

from twofold.components import files
from twofold.components.data.preparation.staging_area import (
    PART_SCHEMA,
    ShardRange,
    StagingArea,
    open_part,
    read_resolution,
    sort_keys_of,
)
from twofold.components.data.preparation.write_shards import (
    locate_images,
    read_images,
    rows_between,
)

# Parts that a process keeps open at a time; up to so many, shards read them as they are.
MOST_PARTS = 256
# Parts of a run; a run of 128 parts has about a million images.
PARTS_OF_RUN = 128
# What of a run is in memory at a time, in bytes of images and in rows.
_BYTES_AT_ONCE = 64 << 20
_ROWS_AT_ONCE = 16_384

Resolve = Callable[[tuple[str, Iterable[str]]], Iterator[tuple[str, ShardRange]]]


def group_parts(parts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The parts of each run by its name; nothing where shards can read the parts as they are."""
    if len(parts) <= MOST_PARTS:
        return {}
    starts = range(0, len(parts), PARTS_OF_RUN)
    return {
        f"run-{number:05d}": tuple(parts[start : start + PARTS_OF_RUN])
        for number, start in enumerate(starts)
    }


def resolve_into_runs(
    made: tuple[str, Iterable[str]], resolve: Resolve, runs: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Decide over all parts, as `resolve` does, and give the name of each run to merge."""
    for _ in resolve(made):
        pass
    for run in runs:
        yield run, run


def merge_run(
    grouped: tuple[str, Iterable[str]], staging: StagingArea, runs: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """Merge the parts of a run, if it is not there; gives its name under the one key of all."""
    run = grouped[0]
    if not files.exists(staging.path("parts", f"{run}.arrow")):
        _merge(run, runs[run], staging)
    yield "runs", run


def list_shards(
    _: tuple[str, Iterable[str]], staging: StagingArea
) -> Iterator[tuple[str, ShardRange]]:
    """Give each shard to write by its name; what it is handed says only that the runs are made."""
    for shard_range in _shard_ranges(staging):
        yield shard_range.name, shard_range


def _shard_ranges(staging: StagingArea) -> list[ShardRange]:
    """The shards to write, numbered as runs hold them."""
    found = [ShardRange(**each) for each in read_resolution(staging)["shard_ranges"]]
    return [replace(shard_range, number=number) for number, shard_range in enumerate(found)]


def _merge(run: str, parts: Sequence[str], staging: StagingArea) -> None:
    shard_ranges = _shard_ranges(staging)
    schema = PART_SCHEMA.with_metadata({"shards": json.dumps(len(shard_ranges))})
    # The rows last: a run is there when they are.
    with (
        files.new_file(staging.path("parts", f"{run}.arrow")) as file,
        pa.ipc.new_file(file, schema) as writer,
        files.new_file(staging.path("parts", f"{run}.spool")) as spool,
    ):
        for some in _windows(shard_ranges, parts, staging):
            for rows in _merged(some, parts, staging, spool):
                writer.write_batch(rows)


def _windows(
    shard_ranges: Sequence[ShardRange], parts: Sequence[str], staging: StagingArea
) -> Iterator[Sequence[ShardRange]]:
    """Shards of one split that follow each other, as many as are to be merged at once.

    Keys are hashed, so that every shard has about its share of every group of parts.
    """
    opened = [open_part(staging, part) for part in parts]
    rows = sum(map(len, opened))
    size = sum(int(part.column("origin_length").to_numpy().sum()) for part in opened)
    images = sum(shard_range.images for shard_range in shard_ranges)
    most = images * min(_ROWS_AT_ONCE / max(1, rows), _BYTES_AT_ONCE / max(1, size))
    window: list[ShardRange] = []
    for shard_range in shard_ranges:
        held = sum(each.images for each in window)
        if window and (window[0].split != shard_range.split or held + shard_range.images > most):
            yield window
            window = []
        window.append(shard_range)
    yield window


def _merged(
    window: Sequence[ShardRange], parts: Sequence[str], staging: StagingArea, spool: IO[bytes]
) -> Iterator[pa.RecordBatch]:
    """The rows of each shard of a window, maybe none; their images go to the spool."""
    low, high = window[0].bounds()[0], window[-1].bounds()[1]
    rows, origins = rows_between(window[0].split, low, high, staging, parts)
    (together,) = rows.to_batches() or [pa.RecordBatch.from_pylist([], PART_SCHEMA)]
    own = np.flatnonzero(together.column("origin").to_numpy() < 0)
    chosen = [origins[row] for row in own.tolist()]
    locations = locate_images(together.take(pa.array(own)), chosen, staging)
    images = read_images(locations)
    offsets = together.column("origin_offset").to_numpy().copy()
    for row, location in zip(own.tolist(), locations, strict=True):
        offsets[row] = spool.tell()
        spool.write(images(location))
    column = PART_SCHEMA.get_field_index("origin_offset")
    placed = together.set_column(column, PART_SCHEMA.field(column), pa.array(offsets))
    firsts = sort_keys_of(placed)[:, 0].astype(np.uint64)
    starts = [int(np.searchsorted(firsts, np.uint64(each.bounds()[0]))) for each in window]
    for start, stop in zip(starts, [*starts[1:], len(placed)], strict=True):
        yield placed.slice(start, stop - start)
