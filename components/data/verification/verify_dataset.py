"""Verification of a data set on disk, for which nothing it says of itself is trusted."""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.store.image_table import INDEX_SCHEMA, sort_digest
from twofold.components.data.store.manifest import (
    IMAGES_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    File,
    Manifest,
    dataset_fingerprint,
    describe_file,
    parse_manifest,
)
from twofold.components.data.store.shard_summary import measured_splits
from twofold.components.data.store.tfds_metadata import CLASSES_FILE
from twofold.components.data.verification.findings import Finding, Findings, compare_file
from twofold.components.data.verification.verify_records import Index, RecordCheck, is_there
from twofold.components.errors import DataError

# The reader's cache of decoded images, which is no part of a dataset.
_CACHE = "decoded"
# So many of the datasets in a folder are named.
_SHOWN = 10


def verify_dataset(
    directory: Path | str,
    *,
    decode: bool = True,
    progress: Callable[[int], None] | None = None,
) -> list[Finding]:
    """Read the whole of a dataset and hold everything in it to everything else.

    The manifest is held to its own checksum and to itself; the files to the manifest, which also
    has to list all that there are; each record to its checksums, to its position in the order and
    to its row in the table; each image, decoded, to its row; and what the records add up to, to the
    manifest's counts and statistics. Memory stays bounded, however large the dataset is.

    Args:
        directory: local or remote.
        decode: whether to decode the images, which takes most of the time.
        progress: called with how many images are done.

    Returns:
        What is wrong, at most some hundred findings a file; nothing if the dataset is intact.

    Raises:
        DataError: there is no such folder.

    """
    names = files.names(directory)
    if not names and not files.exists(directory):
        raise DataError(f"no such dataset folder: {directory}")
    findings = Findings()
    manifest = _read_manifest(directory, names, findings)
    if manifest is None:
        return findings.found
    _check_manifest(manifest, findings)
    _check_names(directory, names, manifest, findings)
    with warnings.catch_warnings(), _open_index(directory, manifest, findings) as index:
        # Pillow warns of oddities that are no damage.
        warnings.simplefilter("ignore")
        for file in manifest.files:
            _check_other(directory, file, manifest, findings)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            records = RecordCheck(directory, manifest, index, findings, pool, decode, progress)
            for split in manifest.splits:
                records.check_split(split)
        records.compare_sums()
        _check_keys(manifest, index, findings)
    return findings.found


def _read_manifest(
    directory: Path | str, names: Sequence[str], findings: Findings
) -> Manifest | None:
    """The manifest; None where nothing can be made of it."""
    if MANIFEST_FILE not in names:
        inside = [
            name for name in names if files.exists(files.join(directory, name, MANIFEST_FILE))
        ]
        found = f"; verify one of those in it: {', '.join(inside[:_SHOWN])}" if inside else ""
        findings.add(MANIFEST_FILE, f"it is missing, and without it this is no dataset{found}")
        return None
    path = files.join(directory, MANIFEST_FILE)
    try:
        manifest = parse_manifest(path)
    except DataError as error:
        findings.add(MANIFEST_FILE, str(error))
    else:
        text = files.read_bytes(path).decode()
        if text != json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n":
            findings.add(MANIFEST_FILE, "its text is not as it was written: it was edited")
        return manifest
    try:
        content = json.loads(files.read_bytes(path))
        return Manifest.model_validate({k: v for k, v in content.items() if k != "checksum"})
    # What is wrong with it is in the finding.
    except (OSError, ValueError, AttributeError):
        return None


def _check_manifest(manifest: Manifest, findings: Findings) -> None:
    """Hold the manifest to itself."""
    counts, alike = manifest.counts, manifest.duplicates
    expect = functools.partial(findings.expect, MANIFEST_FILE)
    sum_of_counts = counts.written + counts.rejected + counts.duplicates
    fingerprint = dataset_fingerprint(
        manifest.source.kind, manifest.source.fingerprint, manifest.settings
    )
    expect("the fingerprint of source and settings", fingerprint, manifest.fingerprint)
    expect("images read, as the sum of the other counts", sum_of_counts, counts.read)
    expect(
        "rejected images, as the sum over reasons", sum(counts.reasons.values()), counts.rejected
    )
    removed = alike.removed_within + alike.removed_leaked
    expect("duplicates left out, as the sum over reasons", removed, counts.duplicates)
    listed = any(file.file == REJECTS_FILE for file in manifest.files)
    expect(f"whether {REJECTS_FILE} is listed", counts.rejected > 0, listed)
    expect("the table's name", IMAGES_FILE, manifest.images.file)
    expect("distinct class names", len(manifest.class_names), len(set(manifest.class_names)))
    expect(
        "splits of the statistics",
        measured_splits(manifest.splits),
        sorted(manifest.statistics.splits),
    )
    for name, split in manifest.splits.items():
        shards = split.shards
        expected = [f"{name}-{n:05d}-of-{len(shards):05d}.tfrecord" for n in range(len(shards))]
        expect(f"shards of {name}", expected, [shard.file for shard in shards])
        expect(f"classes of {name}", sorted(manifest.class_names), sorted(split.labels))


def _check_names(
    directory: Path | str, names: Sequence[str], manifest: Manifest, findings: Findings
) -> None:
    """Hold the names in the folder to those that the manifest lists."""
    listed = Counter(file.file for file in manifest.every_file)
    for file in manifest.every_file:
        if not is_there(directory, file):
            findings.add(file.file, "the manifest lists this file, and it is missing")
    for name, times in listed.items():
        if times > 1:
            findings.add(MANIFEST_FILE, f"it lists {name} {times} times")
    for name in names:
        if name not in listed and name not in (MANIFEST_FILE, _CACHE):
            findings.add(name, "the manifest does not list this file")


def _check_other(directory: Path | str, file: File, manifest: Manifest, findings: Findings) -> None:
    """Hold a file that is neither a shard nor the table to the manifest."""
    if not is_there(directory, file):
        return
    try:
        compare_file(file, describe_file(directory, file.file), findings)
        if file.file == CLASSES_FILE:
            text = files.read_bytes(files.join(directory, file.file)).decode()
            findings.expect(
                file.file, "class names", list(manifest.class_names), text.split("\n")[:-1]
            )
        if file.file == REJECTS_FILE:
            reasons = _count_reasons(files.join(directory, file.file))
            findings.expect(file.file, "rejects by reason", manifest.counts.reasons, reasons)
    except (OSError, ValueError) as error:
        findings.add(file.file, f"it cannot be read: {error}")


def _count_reasons(path: str) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    with files.open_input(path) as lines:
        for number, line in enumerate(lines, start=1):
            reject = json.loads(line)
            if not isinstance(reject, dict) or not isinstance(reject.get("reason"), str):
                raise ValueError(f"line {number} names no reason")
            reasons[reject["reason"]] += 1
    return dict(reasons)


@contextlib.contextmanager
def _open_index(directory: Path | str, manifest: Manifest, findings: Findings) -> Iterator[Index]:
    if not is_there(directory, manifest.images):
        yield Index(None, damaged=True)
        return
    before = findings.files[IMAGES_FILE]
    with files.open_input(files.join(directory, manifest.images.file)) as file:
        compare_file(manifest.images, describe_file(directory, manifest.images.file), findings)
        opened = _parse_index(file, manifest, findings)
        yield Index(opened, damaged=findings.files[IMAGES_FILE] > before)


def _parse_index(file: IO[bytes], manifest: Manifest, findings: Findings) -> pq.ParquetFile | None:
    try:
        opened = pq.ParquetFile(file)
        found = opened.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        findings.add(IMAGES_FILE, f"it cannot be read: {error}")
        return None
    if not found.equals(INDEX_SCHEMA):
        findings.add(IMAGES_FILE, f"expected the columns {INDEX_SCHEMA.names}, found {found.names}")
        return None
    shards = sum(len(split.shards) for split in manifest.splits.values())
    findings.expect(IMAGES_FILE, "row groups, one a shard", shards, opened.num_row_groups)
    return opened


def _check_keys(manifest: Manifest, index: Index, findings: Findings) -> None:
    """Find keys that several splits have; within a split, the order of the records shows them.

    The splits' keys are merged by their hashes, which are in order, so few are in memory at a time.
    """

    def keys(split: str, first: int) -> Iterator[tuple[bytes, str, str]]:
        for number, shard in enumerate(manifest.splits[split].shards):
            rows = index.rows(first + number, ["key"])
            for key in [] if rows is None else rows["key"].to_pylist():
                yield sort_digest(key), key, shard.file

    sizes = [len(split.shards) for split in manifest.splits.values()]
    firsts = itertools.accumulate(sizes, initial=0)
    merged = heapq.merge(*(keys(*each) for each in zip(manifest.splits, firsts, strict=False)))
    for (_, key, one), (_, other_key, other) in itertools.pairwise(merged):
        if key == other_key and one != other:
            findings.add(other, f"{key!r}: {one} has an image of this key, too")
