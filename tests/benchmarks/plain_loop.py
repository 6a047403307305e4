"""Preparation as one would write it without Beam, to compare with: a loop in one process.

Every image is checked, hashed and counted with the same functions, one by one or some together, and
kept in memory until all are sorted; then duplicates are searched for and shards written. Left out,
of what `prepare` does beside, are the table of the images and the report.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.inputs import list_images, open_images, split_and_class
from twofold.components.data.rules.duplicates import (
    NEAR_BITS,
    detail_hashes,
    find_duplicates,
    perceptual_hashes,
    pixel_digest,
    thumbnails,
)
from twofold.components.data.rules.image_rules import RejectedError, check
from twofold.components.data.store import record_schema
from twofold.components.data.store.pixel_statistics import PixelTotals, pixel_sums
from twofold.components.data.store.tf_example import frame

IMAGES_PER_SHARD = 2048


def prepare_plainly(images: Path, output: Path, together: int = 1) -> int:
    """Writes shards and a manifest of the images in a .zip or a folder; how many it wrote.

    Args:
        images: the .zip or the folder.
        output: where to write.
        together: of how many images in a row the hashes are computed at once.

    """
    output.mkdir()
    names = list_images(images)
    classes = sorted({split_and_class(name)[1] for name in names} - {""})
    label_of = {name: label for label, name in enumerate(classes)}
    read = open_images(images)
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, str]] = []
    totals = PixelTotals()
    waiting: list[np.ndarray] = []
    sizes: Counter[str] = Counter()
    for key in names:
        content = read(key)
        try:
            checked = check(content)
        except RejectedError as error:
            rejects.append({"key": key, "reason": error.reason, "detail": error.detail})
            continue
        height, width, _ = checked.pixels.shape
        sizes[f"{height}x{width}"] += 1
        split, class_name = split_and_class(key)
        row = {
            "order": hashlib.sha256(f"order:{key}".encode()).digest()[:16],
            "key": key,
            "split": split,
            "label": label_of.get(class_name, -1),
            "payload": checked.payload,
            "sha256": hashlib.sha256(content).hexdigest(),
            "digest": pixel_digest(checked.pixels),
        }
        rows.append(row)
        waiting.append(checked.pixels)
        if len(waiting) == together:
            _hash_and_count(rows, waiting, totals)
    _hash_and_count(rows, waiting, totals)
    rows.sort(key=lambda row: (row["split"], row["order"]))
    hashes = np.array([row["hashes"] for row in rows], np.uint64)
    found = find_duplicates(
        np.frombuffer(b"".join(row["digest"] for row in rows), np.uint64).reshape(-1, 2),
        hashes[:, 0],
        np.array([row["split"] != "train" for row in rows]),
        hashes[:, 0] != 0,
        bits=NEAR_BITS,
        details=hashes[:, 1],
    )
    shards = [
        _write_shards([row for row in rows if row["split"] == split], split, output)
        for split in sorted({row["split"] for row in rows})
    ]
    manifest = {
        "classes": classes,
        "shards": shards,
        "sizes": sizes,
        "statistics": totals.mean_and_deviation(totals.channels),
        "duplicates": int((np.bincount(found.near)[found.near] > 1).sum()),
        "leaked": int(found.leaked.sum()),
        "rejects": rejects,
        "images": {row["key"]: row["sha256"] for row in rows},
    }
    (output / "manifest.json").write_text(json.dumps(manifest))
    return len(rows)


def _hash_and_count(
    rows: list[dict[str, Any]], waiting: list[np.ndarray], totals: PixelTotals
) -> None:
    """Completes the last rows, whose images wait for it."""
    if not waiting:
        return
    small = thumbnails(waiting)
    hashes = zip(perceptual_hashes(small), detail_hashes(small), strict=True)
    for row, both in zip(rows[-len(waiting) :], hashes, strict=True):
        row["hashes"] = both
    for shape in {pixels.shape for pixels in waiting}:
        some = np.stack([pixels for pixels in waiting if pixels.shape == shape])
        sums, squares = (each.sum(axis=0).tolist() for each in pixel_sums(some))
        totals.add(some.shape[0] * shape[0] * shape[1], sums, squares)
    waiting.clear()


def _write_shards(rows: list[dict[str, Any]], split: str, output: Path) -> list[dict[str, Any]]:
    written = []
    count = -(-len(rows) // IMAGES_PER_SHARD)
    for number in range(count):
        some = rows[number * len(rows) // count : (number + 1) * len(rows) // count]
        path = output / f"{split}-{number:05d}-of-{count:05d}.tfrecord"
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for row in some:
                record = frame(
                    record_schema.serialize(row["key"], row["payload"], row["label"], ())
                )
                digest.update(record)
                file.write(record)
        written.append({"file": path.name, "images": len(some), "sha256": digest.hexdigest()})
    return written
