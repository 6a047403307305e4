"""Image scan of a task, the first stage: each image checked, its row and bytes left to store.

A task's part is three files: rows in the order of (split, hash of the key), the bytes of their
images in the same order, and the images that were rejected. Rows hold digests and sums, never
pixels; no later stage decodes an image or needs the source.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from twofold.components import files
from twofold.components.data.preparation.previous_dataset import PreviousRows, open_previous_rows
from twofold.components.data.preparation.staging_area import (
    PART_SCHEMA,
    StagingArea,
    is_retry,
    read_json,
    sort_key_of,
    sort_keys_of,
)
from twofold.components.data.rules.duplicates import (
    detail_hashes,
    perceptual_hashes,
    pixel_digest,
    thumbnails,
)
from twofold.components.data.rules.image_rules import Checked, RejectedError, check
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import Item, select_all
from twofold.components.data.store.pixel_statistics import pixel_sums
from twofold.components.errors import DataError

# Pixels wait until so many images, or so many bytes of them, can be hashed and summed together.
_BATCH_IMAGES = 96
_BATCH_BYTES = 4 << 20
# The bytes to store wait in memory up to this many, and on disk beyond.
_SPOOL_IN_MEMORY = 64 << 20

Row = dict[str, Any]


def scan(task: str, staging: StagingArea) -> Iterator[tuple[str, str]]:
    """Make a task's part, if it is not there; gives its name under the one key of all parts."""
    if not files.exists(staging.path("parts", f"{task}.arrow")):
        _make_part(task, staging)
    yield "parts", task


def split_of(item: Item, settings: PrepareSettings) -> str:
    """The item's own split, or `test` or `train` by a salted hash; then `validation`'s part.

    What is hashed is the item's group, or where it has none its key.

    Raises:
        DataError: `validation` is to be cut from `train`, and the source has its own.
    """
    split = item.split
    unit = item.key if item.group is None else f"group:{item.group}"
    if split is None:
        drawn = _drawn("split", settings.split_seed, unit)
        split = "test" if drawn < settings.test_share else "train"
    if item.split == "validation" and settings.validation_share:
        raise DataError(
            f"{item.key} is in a validation split of the source's own: expected "
            f"data.validation_share=0, received {settings.validation_share:g}, which would put "
            f"training images beside it"
        )
    if split == "train" and settings.validation_share:
        drawn = _drawn("validation", settings.split_seed, unit)
        split = "validation" if drawn < settings.validation_share else split
    return split


def _drawn(purpose: str, seed: int, unit: str) -> Fraction:
    """A number in [0, 1) that belongs to the purpose, the seed and the unit."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{unit}".encode()).digest()
    return Fraction(int.from_bytes(digest[:8]), 2**64)


def _make_part(task: str, staging: StagingArea) -> None:
    previous = open_previous_rows(staging)
    settings = staging.settings
    kept: list[tuple[Item, int]] = []
    rejects: list[dict[str, str]] = []
    with SpooledTemporaryFile(max_size=_SPOOL_IN_MEMORY) as spool:
        rows = _Rows(spool)
        for item in _items(task, staging, previous):
            number = previous.find(item.key, item.content_id)
            if number is not None and not _differs(item, number, previous, settings):
                kept.append((replace(item, image=b""), number))
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
        made = _sorted([*rows.batches, *_previous_rows(kept, previous, settings)])
        made = _write_spool(made, spool, staging.path("parts", f"{task}.spool"))
    lines = "".join(f"{json.dumps(reject)}\n" for reject in rejects)
    files.write_text(staging.path("parts", f"{task}.rejects"), lines)
    _write_rows(made, staging.path("parts", f"{task}.arrow"))


def _items(task: str, staging: StagingArea, previous: PreviousRows) -> Iterator[Item]:
    """The items of a task, read but for those that an earlier dataset has."""
    content = files.read_bytes(staging.path("tasks", task))
    if not is_retry(task):
        selected = select_all if staging.settings.full_check else previous.is_new
        yield from staging.source.read(content, selected=selected)
        return
    tried = set(read_json(staging.path("tasks", f"{task}.keys"))["keys"])
    for item in staging.source.read(content, selected=lambda key, _: key in tried):
        if item.key in tried:
            yield item


def _differs(item: Item, number: int, previous: PreviousRows, settings: PrepareSettings) -> bool:
    """Whether an image has other bytes than an earlier dataset's of the same content id."""
    return settings.full_check and (
        item.problem is not None or _source_digest(item.image) != previous.source_digest(number)
    )


@dataclass
class _Rows:
    """Rows in the making; those of the last few images wait for what is computed of many at once.

    Attributes:
        spool: takes the bytes to store, one image after the other.
        batches: the rows that are complete, as a part has them.

    """

    spool: IO[bytes]
    batches: list[pa.RecordBatch] = field(default_factory=list)
    _waiting: list[Row] = field(default_factory=list)
    _pixels: list[np.ndarray] = field(default_factory=list)
    _bytes: int = 0

    def add(self, item: Item, checked: Checked, split: str) -> None:
        height, width, channels = checked.pixels.shape
        stored = hashlib.sha256(checked.payload).digest()
        same = checked.payload is item.image
        row = {
            **_from_item(item, split),
            "sort_key": sort_key_of(item.key),
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
        self._waiting.append(row)
        self._pixels.append(checked.pixels)
        self._bytes += checked.pixels.nbytes
        if len(self._waiting) >= _BATCH_IMAGES or self._bytes >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Compute what the waiting rows lack."""
        rows = self._waiting
        if not rows:
            return
        by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, pixels in enumerate(self._pixels):
            by_shape[pixels.shape].append(position)
        small: list[Any] = [None] * len(rows)
        for positions in by_shape.values():
            images = np.stack([self._pixels[position] for position in positions])
            sums, squares = (each.tolist() for each in pixel_sums(images))
            for number, (position, thumbnail) in enumerate(
                zip(positions, thumbnails(_grey(images)), strict=True)
            ):
                rows[position] |= {"sums": sums[number], "squares": squares[number]}
                small[position] = thumbnail
        together = np.stack(small)
        hashes = zip(perceptual_hashes(together), detail_hashes(together), strict=True)
        for row, (first, second) in zip(rows, hashes, strict=True):
            row |= {"perceptual_hash": first, "detail_hash": second}
        # As Python's objects they would take ten times the memory.
        self.batches.append(_batch(rows))
        self._waiting, self._pixels, self._bytes = [], [], 0


def _grey(images: np.ndarray) -> np.ndarray:
    """Each of the images, uint8 [N, H, W, 1 or 3], as Pillow makes it grey; by one call for all."""
    count, height, width, channels = images.shape
    if channels == 1:
        return images
    below_each_other = Image.fromarray(images.reshape(count * height, width, channels))
    return np.asarray(below_each_other.convert("L")).reshape(count, height, width, 1)


def _batch(rows: Sequence[Row]) -> pa.RecordBatch:
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in PART_SCHEMA]
    return pa.record_batch(columns, schema=PART_SCHEMA)


def _from_item(item: Item, split: str) -> Row:
    """What a row has from the source rather than from the image."""
    return {
        "key": item.key,
        "split": split,
        "label": item.label,
        "latents": list(item.latents),
        "group": item.group,
        "weight": item.weight,
        "identity": item.content_id,
    }


def _source_digest(image: bytes | np.ndarray) -> bytes:
    content = image if isinstance(image, bytes) else np.ascontiguousarray(image).tobytes()
    return hashlib.sha256(content).digest()


def _previous_rows(
    kept: Sequence[tuple[Item, int]], previous: PreviousRows, settings: PrepareSettings
) -> Iterator[pa.RecordBatch]:
    """The rows of images that an earlier preparation has looked at, as the source has them now."""
    for start in range(0, len(kept), _BATCH_IMAGES):
        some = kept[start : start + _BATCH_IMAGES]
        found = previous.rows([number for _, number in some])
        yield _batch(
            [
                {
                    **row,
                    **_from_item(item, split_of(item, settings)),
                    "sort_key": sort_key_of(item.key),
                }
                for (item, _), row in zip(some, found, strict=True)
            ]
        )


def _reject(item: Item, rejected: RejectedError) -> dict[str, str]:
    digest = _source_digest(item.image).hex() if item.problem is None else ""
    return {
        "key": item.key,
        "reason": rejected.reason,
        "detail": rejected.detail,
        "source_sha256": digest,
    }


def _sorted(batches: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """All rows, by split and sort key."""
    table = pa.Table.from_batches(batches, schema=PART_SCHEMA)
    columns = [column.combine_chunks() for column in table.columns]
    together = pa.record_batch(columns, schema=PART_SCHEMA)
    sort_keys = sort_keys_of(together)
    rows = np.lexsort((sort_keys[:, 1], sort_keys[:, 0], _splits_of(together)))
    return together.take(pa.array(rows))


def _splits_of(rows: pa.RecordBatch) -> np.ndarray:
    return np.array(rows.column("split").to_pylist(), np.str_)


def _write_spool(rows: pa.RecordBatch, spool: IO[bytes], path: str) -> pa.RecordBatch:
    """Write the images in the order of the rows, so that a shard's are read in one piece.

    Returns:
        The rows, with where the images are now.

    """
    offsets = rows.column("origin_offset").to_numpy().copy()
    lengths = rows.column("origin_length").to_pylist()
    position = 0
    with files.new_file(path) as file:
        for row in np.flatnonzero(rows.column("origin").to_numpy() < 0).tolist():
            spool.seek(offsets[row])
            file.write(spool.read(lengths[row]))
            offsets[row] = position
            position += lengths[row]
    column = PART_SCHEMA.get_field_index("origin_offset")
    return rows.set_column(column, PART_SCHEMA.field(column), pa.array(offsets))


def _write_rows(rows: pa.RecordBatch, path: str) -> None:
    """Write the rows as one batch, and in its metadata where each split begins and ends."""
    splits, starts, counts = np.unique(_splits_of(rows), return_index=True, return_counts=True)
    found = zip(splits.tolist(), starts.tolist(), counts.tolist(), strict=True)
    spans = {split: [start, start + count] for split, start, count in found}
    described = rows.replace_schema_metadata({"spans": json.dumps(spans)})
    with files.new_file(path) as file, pa.ipc.new_file(file, described.schema) as writer:
        writer.write_batch(described)
