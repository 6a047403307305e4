"""What an earlier dataset knows of its images, so that unchanged ones are not read again.

An image is known under its key and its identity, a text that changes with its content. The earlier
dataset's table is copied into the workplace once, as a file that workers map into memory, beside
the sorted hashes of its keys.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.preparation.staging_area import Workplace, settings_record
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.store.image_table import INDEX_SCHEMA
from twofold.components.data.store.manifest import IMAGES_FILE, Manifest, load_manifest
from twofold.components.errors import DataError

_ROWS = "known.arrow"
_HASHES = "known.npy"


@dataclass(frozen=True)
class Known:
    """The rows of the earlier dataset, found by key; of a workplace without one, nothing.

    Attributes:
        table: its rows, mapped into memory; None for none.
        hashes: of the keys, uint64 [N], ascending.
        numbers: the row of each hash, int64 [N].

    """

    table: pa.Table | None = None
    hashes: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def find(self, key: str, identity: str) -> int | None:
        """The row of this key and identity, None where there is none."""
        if self.table is None or self.hashes is None or self.numbers is None or not identity:
            return None
        sought = _hash(key)
        place = int(np.searchsorted(self.hashes, np.uint64(sought)))
        while place < len(self.hashes) and int(self.hashes[place]) == sought:
            row = int(self.numbers[place])
            if self.table["key"][row].as_py() == key:
                found = self.table["identity"][row].as_py()
                return row if found == identity else None
            place += 1
        return None

    def is_new(self, key: str, identity: str) -> bool:
        """Whether the image has to be read."""
        return self.find(key, identity) is None

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


def reusable(manifest: Manifest, kind: str, settings: PrepareSettings) -> bool:
    """Whether an earlier dataset's images are what these settings would make of them."""
    wanted = json.loads(json.dumps(settings_record(settings)["images"]))
    return manifest.source.kind == kind and manifest.settings.get("images") == wanted


def previous_shards(manifest: Manifest) -> list[str]:
    """The shard files of an earlier dataset, in the order in which its rows name them."""
    return [shard.file for split in manifest.splits.values() for shard in split.shards]


def write_known(workplace: Workplace) -> None:
    """Lay out the earlier dataset's rows in the workplace, if there is such a dataset."""
    if workplace.previous is None or files.exists(workplace.path("parts", _HASHES)):
        return
    manifest = load_manifest(workplace.previous)
    hashes: list[np.ndarray] = []
    with (
        files.open_input(files.join(workplace.previous, IMAGES_FILE)) as file,
        files.new_file(workplace.path("parts", _ROWS)) as made,
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
        raise DataError(f"{workplace.previous}: {IMAGES_FILE} does not fit its manifest")
    with files.new_file(workplace.path("parts", _HASHES)) as made:
        np.save(made, np.stack([joined[numbers], numbers.astype(np.uint64)]))


def open_known(workplace: Workplace) -> Known:
    """What `write_known` laid out, in this process once."""
    if workplace.previous is None:
        return Known()
    return open_table(workplace.path("parts", _ROWS), workplace.path("parts", _HASHES))


@functools.lru_cache(maxsize=2)
def open_table(rows: str, hashes: str) -> Known:
    """The two files that `write_known` wrote, in this process once."""
    if files.is_remote(rows):
        table = pa.ipc.open_file(pa.py_buffer(files.read_bytes(rows))).read_all()
    else:
        table = pa.ipc.open_file(pa.memory_map(rows)).read_all()
    with files.open_input(hashes) as file:
        stacked = np.load(file, allow_pickle=False)
    return Known(table, stacked[0], stacked[1].astype(np.int64))


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
