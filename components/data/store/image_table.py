"""Image table, `images.parquet`: one row per image, with all but its pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.store.manifest import IMAGES_FILE, Manifest

# Rows of a shard are in the order of its records.
INDEX_SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        # Where the framed record lies in the shard, in bytes.
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int32(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("latents", pa.list_(pa.float32()), nullable=False),
        pa.field("group", pa.string()),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("identity", pa.string(), nullable=False),
        # Of the bytes in the source, of the bytes as stored, and of the pixels as stored.
        pa.field("source_sha256", pa.binary(32), nullable=False),
        pa.field("stored_sha256", pa.binary(32), nullable=False),
        pa.field("pixel_digest", pa.binary(16), nullable=False),
        # Of 64 low frequencies and of the 64 above them; see `rules.duplicates`.
        pa.field("perceptual_hash", pa.uint64(), nullable=False),
        pa.field("detail_hash", pa.uint64(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("repair", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("channels", pa.int8(), nullable=False),
        pa.field("stored_bytes", pa.int64(), nullable=False),
        # Per channel, over the pixels: the sum of the values and that of their squares.
        pa.field("sums", pa.list_(pa.uint64()), nullable=False),
        pa.field("squares", pa.list_(pa.uint64()), nullable=False),
    ]
)


def sort_digest(key: str) -> bytes:
    """What the records of a split are ordered by: a sha256 of the image's key."""
    return hashlib.sha256(f"order:{key}".encode()).digest()


def read_split_index(
    directory: Path | str, manifest: Manifest, split: str, columns: list[str]
) -> pa.Table:
    """These columns of one split's images, in the order of its records."""
    groups = _row_groups(manifest, split)
    with files.open_input(files.join(directory, IMAGES_FILE)) as file:
        return pq.ParquetFile(file).read_row_groups(groups, columns=columns)


def index_batches(
    directory: Path | str, manifest: Manifest, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """These columns of all images, shard by shard, so that memory stays bounded."""
    with files.open_input(files.join(directory, manifest.images.file)) as file:
        opened = pq.ParquetFile(file)
        for group in range(opened.num_row_groups):
            yield from opened.read_row_group(group, columns=columns).to_batches()


def _row_groups(manifest: Manifest, split: str) -> list[int]:
    """The row groups of a split: there is one for each shard, split after split."""
    first = 0
    for name, record in manifest.splits.items():
        if name == split:
            return list(range(first, first + len(record.shards)))
        first += len(record.shards)
    raise KeyError(split)
