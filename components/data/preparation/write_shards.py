"""Shard writer, the third stage: one shard written, or taken over from the previous data set."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.preparation.previous_dataset import open_staged_rows, previous_shards
from twofold.components.data.preparation.staging_area import (
    PART_SCHEMA,
    REMOVED,
    ShardRange,
    StagingArea,
    open_local,
    open_part,
    open_remote,
    open_run,
    open_run_file,
    sort_keys_of,
    spans_of,
    structured_sort_keys,
    write_json,
)
from twofold.components.data.store import record_schema
from twofold.components.data.store.image_table import INDEX_SCHEMA
from twofold.components.data.store.manifest import (
    IMAGES_FILE,
    Manifest,
    Shard,
    describe_file,
    load_manifest,
)
from twofold.components.data.store.shard_summary import summarise
from twofold.components.data.store.tf_example import FOOTER, HEADER, frame, masked_crc
from twofold.components.errors import DataError

_SCHEMA_VERSION = b"twofold record 2\n"


def write_shard(
    grouped: tuple[str, Iterable[ShardRange]],
    staging: StagingArea,
    parts: tuple[str, ...],
    *,
    merged: bool = False,
) -> Iterator[None]:
    """Write a shard, its rows of the index and a summary of it, if they are not there.

    Args:
        grouped: the shard under its name.
        staging: where its rows are.
        parts: which hold them.
        merged: whether these are runs of parts.

    """
    (shard_range,) = set(grouped[1])
    summary = staging.path("shards", f"{shard_range.name}.json")
    if not files.exists(summary):
        write_json(summary, _write(shard_range, staging, parts, merged))
    yield from ()


def _write(
    shard_range: ShardRange, staging: StagingArea, parts: tuple[str, ...], merged: bool
) -> dict[str, Any]:
    rows, origins = _collect(shard_range, staging, parts, merged=merged)
    if len(rows) != shard_range.images:
        raise DataError(
            f"{staging.directory}: shard {shard_range.name}: expected {shard_range.images} "
            f"images, found {len(rows)}; remove the folder and prepare the dataset again"
        )
    content = _content_digest(rows, staging)
    file = f"{shard_range.name}.tfrecord"
    taken = _take_over(content, staging, file)
    offsets = _write_records(rows, origins, staging, file) if taken is None else taken
    described = describe_file(staging.folder("shards"), file)
    _write_index(rows, offsets, staging.path("shards", f"{shard_range.name}.arrow"))
    shard = Shard(**described.model_dump(), images=len(rows), content=content)
    return {"shard": shard.model_dump(mode="json"), **summarise(rows).to_json()}


def _collect(
    shard_range: ShardRange, staging: StagingArea, parts: Sequence[str], *, merged: bool
) -> tuple[pa.Table, list[str]]:
    """The shard's rows in their order, and the part or run that each comes from."""
    if not merged:
        return rows_between(shard_range.split, *shard_range.bounds(), staging, parts)
    # Each run has the shard's rows together, and in their order.
    pieces = [open_run(staging, run).batch(shard_range.number) for run in parts]
    names = [run for run, piece in zip(parts, pieces, strict=True) for _ in range(len(piece))]
    table = pa.Table.from_batches(pieces)
    rows = _order(np.concatenate([sort_keys_of(piece) for piece in pieces]))
    return table.take(pa.array(rows)).combine_chunks(), [names[row] for row in rows.tolist()]


def _order(sort_keys: np.ndarray) -> np.ndarray:
    ordered: np.ndarray = np.lexsort((sort_keys[:, 1], sort_keys[:, 0]))
    return ordered


def rows_between(
    split: str, low: int, high: int, staging: StagingArea, parts: Sequence[str]
) -> tuple[pa.Table, list[str]]:
    """A split's rows with these first words of sort keys, in order, but for those removed.

    Args:
        split: its name.
        low: the least first word.
        high: the least one above.
        staging: where the parts are.
        parts: to look into.

    Returns:
        The rows, and the part that each comes from.

    """
    removed = _removed(staging)
    pieces, names = [], []
    for part in parts:
        opened = open_part(staging, part)
        first, last = spans_of(opened).get(split, (0, 0))
        firsts = sort_keys_of(opened)[first:last, 0]
        start = first + int(np.searchsorted(firsts, np.uint64(low)))
        stop = last
        if high < 1 << 64:
            stop = first + int(np.searchsorted(firsts, np.uint64(high)))
        if start < stop:
            pieces.append(opened.slice(start, stop - start))
            names += [part] * (stop - start)
    if not pieces:
        return PART_SCHEMA.empty_table(), []
    table = pa.Table.from_batches(pieces)
    sort_keys = np.concatenate([sort_keys_of(piece).astype(np.uint64) for piece in pieces])
    kept = np.flatnonzero(~np.isin(structured_sort_keys(sort_keys), removed))
    rows = kept[_order(sort_keys[kept])]
    return table.take(pa.array(rows)).combine_chunks(), [names[row] for row in rows.tolist()]


def _removed(staging: StagingArea) -> np.ndarray:
    return _load_removed(staging.path("parts", REMOVED))


@functools.lru_cache(maxsize=2)
def _load_removed(path: str) -> np.ndarray:
    with files.open_input(path) as file:
        loaded: np.ndarray = np.load(file, allow_pickle=False)
    return loaded


def _content_digest(rows: pa.Table, staging: StagingArea) -> str:
    """The sha256 (hex) of all that the shard's bytes follow from."""
    digest = hashlib.sha256(_SCHEMA_VERSION)
    digest.update(struct.pack("<??", staging.raw, staging.weighted))
    names = ("key", "label", "latents", "weight", "stored_sha256", "height", "width", "channels")
    for key, label, latents, weight, stored, *shape in zip(
        *(rows[name].to_pylist() for name in names), strict=True
    ):
        encoded = key.encode()
        digest.update(struct.pack("<qiif3i", len(encoded), label, len(latents), weight, *shape))
        digest.update(encoded + stored + struct.pack(f"<{len(latents)}f", *latents))
    return digest.hexdigest()


def _take_over(content: str, staging: StagingArea, file: str) -> np.ndarray | None:
    """Where the records of an equal earlier shard begin, None where there is no such shard."""
    if staging.previous is None:
        return None
    previous = _previous(staging.previous)
    shards = [shard for split in previous.splits.values() for shard in split.shards]
    found = next((shard for shard in shards if shard.content == content), None)
    if found is None:
        return None
    path = staging.path("shards", file)
    files.link_or_copy(files.join(staging.previous, found.file), path)
    if describe_file(staging.folder("shards"), file).sha256 != found.sha256:
        raise DataError(
            f"{files.join(staging.previous, found.file)} is damaged: its checksum is another "
            f"than in the manifest; remove {staging.previous} and prepare the dataset again"
        )
    with files.open_input(files.join(staging.previous, IMAGES_FILE)) as index:
        rows = pq.ParquetFile(index).read_row_group(shards.index(found), columns=["offset"])
    return np.append(rows["offset"].to_numpy(), found.bytes)


@functools.lru_cache(maxsize=2)
def _previous(directory: str) -> Manifest:
    return load_manifest(directory)


def _write_records(
    rows: pa.Table, origins: list[str], staging: StagingArea, file: str
) -> np.ndarray:
    """Write the records; where each begins, and after the last the file's size, int64 [N + 1]."""
    offsets = np.zeros(len(rows) + 1, np.int64)
    names = ("key", "label", "latents", "weight", "height", "width", "channels")
    columns = zip(*(rows[name].to_pylist() for name in ("stored_sha256", *names)), strict=True)
    locations = locate_images(rows, origins, staging)
    images = read_images(locations)
    with files.new_file(staging.path("shards", file)) as writing:
        for number, (values, location) in enumerate(zip(columns, locations, strict=True)):
            stored, key, label, latents, weight, *shape = values
            image = images(location)
            if hashlib.sha256(image).digest() != stored:
                raise DataError(f"{key}: its bytes changed in {location.path}")
            record = record_schema.serialize(
                key,
                image,
                label,
                latents,
                shape=shape if staging.raw else None,
                weight=weight if staging.weighted else None,
            )
            framed = frame(record)
            writing.write(framed)
            offsets[number + 1] = offsets[number] + len(framed)
    return offsets


class Location(NamedTuple):
    """Where stored bytes lie: in a part's spool, or as a record in an earlier dataset's shard."""

    path: str
    start: int
    stop: int
    is_record: bool


def locate_images(
    rows: pa.Table | pa.RecordBatch, parts: Sequence[str], staging: StagingArea
) -> list[Location]:
    """Where the stored bytes of rows lie, each row of the part or run of that place."""
    names = ("origin", "origin_offset", "origin_length")
    origins, starts, lengths = (rows[name].to_pylist() for name in names)
    paths = {each: _origin(*each, staging) for each in set(zip(parts, origins, strict=True))}
    return [
        Location(paths[part, origin], start, start + length, origin >= 0)
        for part, origin, start, length in zip(parts, origins, starts, lengths, strict=True)
    ]


def _origin(part: str, origin: int, staging: StagingArea) -> str:
    if origin < 0 or staging.previous is None:
        return staging.path("parts", f"{part}.spool")
    shard = previous_shards(_previous(staging.previous))[origin]
    return files.join(staging.previous, shard)


def read_images(locations: Sequence[Location]) -> Callable[[Location], bytes]:
    """Reads what lies at the locations; gives a function from each of them to its image.

    A shard's images lie together in each part, so that one request a part reads them all.
    """
    spans: dict[str, tuple[int, int]] = {}
    for path, start, stop, _ in locations:
        first, last = spans.get(path, (start, stop))
        spans[path] = min(first, start), max(last, stop)
    contents = files.read_ranges([(path, *span) for path, span in spans.items()])
    read = dict(zip(spans, contents, strict=True))

    def image(location: Location) -> bytes:
        first = spans[location.path][0]
        content = read[location.path][location.start - first : location.stop - first]
        return (
            record_schema.image_of(_unframed(content, location.path))
            if location.is_record
            else content
        )

    return image


def _unframed(framed: bytes, path: str) -> bytes:
    data = framed[HEADER.size : -FOOTER.size]
    if FOOTER.unpack(framed[-FOOTER.size :])[0] != masked_crc(data):
        raise DataError(f"{path}: a record is damaged; remove that dataset and prepare it again")
    return data


def close_files() -> None:
    """Let go of the files that this process keeps open, so that the disk gets their room back."""
    for cached in (
        open_local,
        open_remote,
        open_run_file,
        open_staged_rows,
        _load_removed,
        _previous,
    ):
        cached.cache_clear()


def read_stored(row: pa.Table, part: str, staging: StagingArea) -> bytes:
    """The stored bytes of one row of a part, a table of that row."""
    locations = locate_images(row, [part], staging)
    return read_images(locations)(locations[0])


def _write_index(rows: pa.Table, offsets: np.ndarray, path: str) -> None:
    placed = {
        "shard": pa.array(np.zeros(len(rows), np.int32)),
        "offset": pa.array(offsets[:-1]),
        "length": pa.array(np.diff(offsets).astype(np.int32)),
    }
    columns = [
        placed[name] if name in placed else rows[name].combine_chunks()
        for name in INDEX_SCHEMA.names
    ]
    with files.new_file(path) as file, pa.ipc.new_file(file, INDEX_SCHEMA) as writer:
        writer.write_table(pa.table(columns, schema=INDEX_SCHEMA))
