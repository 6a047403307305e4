"""The first stage: check every image of a task, and leave its row and the bytes to store.

A task's part is three files: rows in the order of (split, hash of the key), the bytes of their
images in the same order, and the images that were rejected. Rows hold digests and sums, never
pixels; no later stage decodes an image or needs the source.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa

from components.data import storage
from components.data.duplicates import (
    detail_hashes,
    perceptual_hashes,
    pixel_digest,
    thumbnails,
)
from components.data.images import Checked, RejectedError, check
from components.data.known import Known, open_known
from components.data.settings import PrepareSettings
from components.data.sources.base import Item
from components.data.statistics import pixel_sums
from components.data.workplace import PART_SCHEMA, Workplace, order_of

# Pixels wait until so many images, or so many bytes of them, can be hashed and summed together.
_BATCH_IMAGES = 256
_BATCH_BYTES = 32 << 20
# The bytes to store wait in memory up to this many, and on disk beyond.
_SPOOL_IN_MEMORY = 64 << 20

Row = dict[str, Any]


def scan(task: str, workplace: Workplace) -> Iterator[tuple[str, str]]:
    """Make a task's part, if it is not there; gives its name under the one key of all parts."""
    if not storage.exists(workplace.path("parts", f"{task}.arrow")):
        _make_part(task, workplace)
    yield "parts", task


def split_of(item: Item, settings: PrepareSettings) -> str:
    """The item's own split, or `test` or `train` by a salted hash; then `validation`'s part.

    What is hashed is the item's group, or where it has none its key.
    """
    split = item.split
    unit = item.key if item.group is None else f"group:{item.group}"
    if split is None:
        drawn = _drawn("split", settings.split_seed, unit)
        split = "test" if drawn < settings.test_share else "train"
    if split == "train" and settings.validation_share:
        drawn = _drawn("validation", settings.split_seed, unit)
        split = "validation" if drawn < settings.validation_share else split
    return split


def _drawn(purpose: str, seed: int, unit: str) -> Fraction:
    """A number in [0, 1) that belongs to the purpose, the seed and the unit."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{unit}".encode()).digest()
    return Fraction(int.from_bytes(digest[:8]), 2**64)


def _make_part(task: str, workplace: Workplace) -> None:
    known = open_known(workplace)
    settings = workplace.settings
    kept: list[tuple[Item, int]] = []
    rejects: list[dict[str, str]] = []
    with SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY) as spool:
        rows = _Rows(spool)
        content = storage.read_bytes(workplace.path("tasks", task))
        for item in workplace.source.read(content, wanted=known.is_new):
            number = known.find(item.key, item.identity)
            if number is not None:
                kept.append((item, number))
                continue
            try:
                if item.problem is not None:
                    raise RejectedError("unreadable", item.problem)
                checked = check(item.image, settings.images)
            except RejectedError as rejected:
                rejects.append(_reject(item, rejected))
                continue
            rows.add(item, checked, split_of(item, settings))
        rows.flush()
        made = rows.rows + _known_rows(kept, known, settings)
        made.sort(key=lambda row: (row["split"], row["order"]))
        _write_spool(made, spool, workplace.path("parts", f"{task}.spool"))
    lines = "".join(f"{json.dumps(reject)}\n" for reject in rejects)
    storage.write_bytes(workplace.path("parts", f"{task}.rejects"), lines.encode())
    _write_rows(made, workplace.path("parts", f"{task}.arrow"))


@dataclass
class _Rows:
    """Rows in the making; those of the last few images wait for what is computed of many at once.

    Attributes:
        spool: takes the bytes to store, one image after the other.
        rows: what is known of each image so far.
        waiting: how many of the last rows still lack hash and sums, and their pixels.

    """

    spool: IO[bytes]
    rows: list[Row] = field(default_factory=list)
    waiting: list[np.ndarray] = field(default_factory=list)
    _bytes: int = 0

    def add(self, item: Item, checked: Checked, split: str) -> None:
        height, width, channels = checked.pixels.shape
        stored = hashlib.sha256(checked.payload).digest()
        same = checked.payload is item.image
        row = {
            **_from_item(item, split),
            "order": order_of(item.key),
            "source_sha256": stored if same else _source_digest(item.image),
            "stored_sha256": stored,
            "pixel_digest": pixel_digest(checked.pixels),
            "format": checked.format,
            "mode": checked.mode,
            "repair": checked.repair,
            "height": height,
            "width": width,
            "channels": channels,
            "stored_bytes": len(checked.payload),
            "origin": -1,
            "origin_offset": self.spool.tell(),
            "origin_length": len(checked.payload),
        }
        self.spool.write(checked.payload)
        self.rows.append(row)
        self.waiting.append(checked.pixels)
        self._bytes += checked.pixels.nbytes
        if len(self.waiting) >= _BATCH_IMAGES or self._bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Compute what the waiting rows lack."""
        if not self.waiting:
            return
        rows = self.rows[-len(self.waiting) :]
        small = thumbnails(self.waiting)
        hashes = zip(perceptual_hashes(small).tolist(), detail_hashes(small).tolist(), strict=True)
        for row, (first, second) in zip(rows, hashes, strict=True):
            row |= {"perceptual_hash": first, "detail_hash": second}
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, pixels in enumerate(self.waiting):
            by_shape[pixels.shape].append(place)
        for places in by_shape.values():
            sums, squares = pixel_sums(np.stack([self.waiting[place] for place in places]))
            for place, one, other in zip(places, sums.tolist(), squares.tolist(), strict=True):
                rows[place] |= {"sums": one, "squares": other}
        self.waiting, self._bytes = [], 0


def _from_item(item: Item, split: str) -> Row:
    """What a row has from the source rather than from the image."""
    return {
        "key": item.key,
        "split": split,
        "label": item.label,
        "latents": list(item.latents),
        "group": item.group,
        "weight": item.weight,
        "identity": item.identity,
    }


def _source_digest(image: bytes | np.ndarray) -> bytes:
    content = image if isinstance(image, bytes) else np.ascontiguousarray(image).tobytes()
    return hashlib.sha256(content).digest()


def _known_rows(
    kept: Sequence[tuple[Item, int]], known: Known, settings: PrepareSettings
) -> list[Row]:
    """The rows of images that an earlier preparation has looked at, as the source has them now."""
    found = known.rows([number for _, number in kept])
    return [
        {**row, **_from_item(item, split_of(item, settings)), "order": order_of(item.key)}
        for (item, _), row in zip(kept, found, strict=True)
    ]


def _reject(item: Item, rejected: RejectedError) -> dict[str, str]:
    digest = _source_digest(item.image).hex() if item.problem is None else ""
    return {
        "key": item.key,
        "reason": rejected.reason,
        "detail": rejected.detail,
        "source_sha256": digest,
    }


def _write_spool(rows: list[Row], spool: IO[bytes], path: str) -> None:
    """Write the images in the order of the rows, so that a shard's are read in one piece."""
    place = 0
    with storage.new_file(path) as file:
        for row in rows:
            if row["origin"] < 0:
                spool.seek(row["origin_offset"])
                file.write(spool.read(row["origin_length"]))
                row["origin_offset"] = place
                place += row["origin_length"]


def _write_rows(rows: list[Row], path: str) -> None:
    """Write the rows as one batch, and in its metadata where each split begins and ends."""
    spans: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        spans.setdefault(row["split"], [place, place])[1] = place + 1
    schema = PART_SCHEMA.with_metadata({"spans": json.dumps(spans)})
    columns = [
        pa.array([row[name] for row in rows], kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    with storage.new_file(path) as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(pa.record_batch(columns, schema=schema))


@functools.lru_cache(maxsize=256)
def open_local(path: str) -> pa.RecordBatch:
    """The rows of a part on disk, mapped into memory, in this process once."""
    return pa.ipc.open_file(pa.memory_map(path)).get_batch(0)


def open_part(workplace: Workplace, part: str) -> pa.RecordBatch:
    """The rows of a part; mapped into memory where the folder is local."""
    path = workplace.path("parts", f"{part}.arrow")
    if not storage.is_remote(path):
        return open_local(path)
    return open_remote(path)


@functools.lru_cache(maxsize=256)
def open_remote(path: str) -> pa.RecordBatch:
    """The rows of a part in a bucket, fetched by this process once."""
    return pa.ipc.open_file(pa.py_buffer(storage.read_bytes(path))).get_batch(0)


def spans_of(part: pa.RecordBatch) -> dict[str, list[int]]:
    """Where each split's rows begin and end in a part."""
    spans: dict[str, list[int]] = json.loads(part.schema.metadata[b"spans"])
    return spans


def orders_of(part: pa.RecordBatch) -> np.ndarray:
    """The orders of a part's rows, uint64 [N, 2], the first column the more significant."""
    return fixed_binary(part.column("order")).view(">u8").reshape(-1, 2)


def fixed_binary(column: pa.Array) -> np.ndarray:
    """The bytes of a column of fixed-size binaries, uint8 [N, width], without a copy."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, width)
    return data[column.offset : column.offset + len(column)]
