"""Previous data set of a preparation: its rows, so that unchanged images are not read again.

An image is found by its key and its content id, a text that changes with its content. The previous
dataset's table is copied into the staging area once, as a file that workers map into memory, beside
the sorted hashes of its keys.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.store.image_table import INDEX_SCHEMA
from twofold.components.data.store.manifest import IMAGES_FILE, Manifest, load_manifest
from twofold.components.errors import DataError

_ROWS = "previous.arrow"
_HASHES = "previous.npy"


@dataclass(frozen=True)
class PreviousRows:
    """The rows of the earlier dataset, found by key; of a staging area without one, nothing.

    Attributes:
        table: its rows, mapped into memory; None for none.
        hashes: of the keys, uint64 [N], ascending.
        numbers: the row of each hash, int64 [N].

    """

    table: pa.Table | None = None
    hashes: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def find(self, key: str, content_id: str) -> int | None:
        """The row of this key and content id, None where there is none."""
        if self.table is None or self.hashes is None or self.numbers is None or not content_id:
            return None
        sought = _hash(key)
        position = int(np.searchsorted(self.hashes, np.uint64(sought)))
        while position < len(self.hashes) and int(self.hashes[position]) == sought:
            row = int(self.numbers[position])
            if self.table["key"][row].as_py() == key:
                found = self.table["identity"][row].as_py()
                return row if found == content_id else None
            position += 1
        return None

    def is_new(self, key: str, content_id: str) -> bool:
        """Whether the image has to be read."""
        return self.find(key, content_id) is None

    def source_digest(self, number: int) -> bytes:
        """The sha256 that a row's image had in its source."""
        if self.table is None:
            raise IndexError(number)
        digest: bytes = self.table["source_sha256"][number].as_py()
        return digest

    def rows(self, numbers: list[int]) -> list[dict[str, Any]]:
        """Rows as a part has them, with the earlier shard as the origin of their bytes."""
        if self.table is None or not numbers:
            return []
        found: list[dict[str, Any]] = self.table.take(numbers).to_pylist()
        for row in found:
            row["origin"] = row.pop("shard")
            row["origin_offset"] = row.pop("offset")
            row["origin_length"] = row.pop("length")
        return found


def previous_shards(manifest: Manifest) -> list[str]:
    """The shard files of an earlier dataset, in the order in which its rows name them."""
    return [shard.file for split in manifest.splits.values() for shard in split.shards]


def stage_previous_rows(staging: StagingArea) -> None:
    """Lay out the earlier dataset's rows in the staging area, if there is such a dataset."""
    if staging.previous is None or files.exists(staging.path("parts", _HASHES)):
        return
    manifest = load_manifest(staging.previous)
    hashes: list[np.ndarray] = []
    with (
        files.open_input(files.join(staging.previous, IMAGES_FILE)) as file,
        files.new_file(staging.path("parts", _ROWS)) as made,
        pa.ipc.new_file(made, INDEX_SCHEMA) as writer,
    ):
        opened = pq.ParquetFile(file)
        for group in range(opened.num_row_groups):
            table = opened.read_row_group(group)
            # Numbered over all splits here, within one split in the index.
            table = table.set_column(
                table.schema.get_field_index("shard"),
                INDEX_SCHEMA.field("shard"),
                pa.array(np.full(len(table), group, np.int32)),
            )
            writer.write_table(table.cast(INDEX_SCHEMA))
            hashes.append(np.array([_hash(key) for key in table["key"].to_pylist()], np.uint64))
    joined = np.concatenate(hashes)
    numbers = np.argsort(joined, kind="stable")
    if opened.num_row_groups != len(previous_shards(manifest)):
        raise DataError(f"{staging.previous}: {IMAGES_FILE} does not fit its manifest")
    with files.new_file(staging.path("parts", _HASHES)) as made:
        np.save(made, np.stack([joined[numbers], numbers.astype(np.uint64)]))


def open_previous_rows(staging: StagingArea) -> PreviousRows:
    """What `stage_previous_rows` laid out, in this process once."""
    if staging.previous is None:
        return PreviousRows()
    return open_staged_rows(staging.path("parts", _ROWS), staging.path("parts", _HASHES))


@functools.lru_cache(maxsize=2)
def open_staged_rows(rows: str, hashes: str) -> PreviousRows:
    """The two files that `stage_previous_rows` wrote, in this process once."""
    if files.is_remote(rows):
        table = pa.ipc.open_file(pa.py_buffer(files.read_bytes(rows))).read_all()
    else:
        table = pa.ipc.open_file(pa.memory_map(rows)).read_all()
    with files.open_input(hashes) as file:
        stacked = np.load(file, allow_pickle=False)
    return PreviousRows(table, stacked[0], stacked[1].astype(np.int64))


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
