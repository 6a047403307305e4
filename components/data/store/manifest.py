"""Manifest of a data set, `manifest.json`: what it says about itself, written last."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import google_crc32c
from pydantic import BaseModel, ConfigDict, ValidationError

from twofold.components import files
from twofold.components.errors import DataError

FORMAT_VERSION = 2
MANIFEST_FILE = "manifest.json"
REJECTS_FILE = "rejects.jsonl"
IMAGES_FILE = "images.parquet"
REPORT_FILE = "dataset_report.html"
# The modules that prepared the dataset, with hashes of their code.
CODE_FILE = "code.json"
HELD_OUT_SPLITS = ("validation", "test")

_CHECKSUM = "checksum"
_BLOCK = 4 << 20
# Opening a dataset checks all of its blocks where they fit in this, which takes a tenth of a
# second, and otherwise as many of them, spread evenly.
_CHECKED_BYTES = 256 << 20


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """The source the images came from; `ignored` counts its entries that were no images.

    `skipped` counts them by kind.
    """

    kind: str
    fingerprint: str
    ignored: int
    skipped: dict[str, int] = {}


class File(_Record):
    """A file beside the manifest: its size, its sha256 (hex), and the CRC-32C of each 4 MiB."""

    file: str
    bytes: int
    sha256: str
    blocks: tuple[int, ...]


class Shard(File):
    """One file of records; `content` is the sha256 (hex) of what it was written from."""

    images: int
    content: str


class SplitRecord(_Record):
    """One split: its images, how many of each class and without any, and its shards in order."""

    images: int
    labels: dict[str, int]
    unlabelled: int
    shards: tuple[Shard, ...]


class PixelStatistics(_Record):
    """Per channel, over all pixels of the named splits, in [0, 1]; std is the population's."""

    splits: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Counts(_Record):
    """Images read, written, rejected and left out as duplicates: read is the sum of the others.

    Rejected ones are counted by reason, too, and those stored otherwise than they came by repair.
    """

    read: int
    written: int
    rejected: int
    duplicates: int
    reasons: dict[str, int]
    repairs: dict[str, int]


class DuplicateRecord(_Record):
    """What was found alike among the images that were not rejected.

    `exact` and `near` count the images that have another one with equal pixels, or one that looks
    alike (which includes the equal ones); `leaked` those in a training split that resemble a
    held-out image or are of its group; `conflicting_labels` those with equal pixels and another
    label; None where it was not searched for. `removed_within` and `removed_leaked` were left out
    for it.
    """

    exact: int | None
    near: int | None
    leaked: int | None
    conflicting_labels: int | None
    removed_within: int
    removed_leaked: int


class Manifest(_Record):
    """A prepared dataset.

    Attributes:
        fingerprint: sha256 (hex) of the source's fingerprint, the settings and the format version.
        settings: of `prepare`, as it was called.
        channels: 1 where every image is greyscale, else 3.
        raw: whether records hold pixels and their shape instead of JPEG or PNG files.
        weighted: whether records hold a weight.
        image_sizes: images by "HxW", as stored.
        formats: images by the format that they came in.
        images: the table with one row per image, in the order of the splits and their records.
        files: the other files beside the manifest, but for the shards.

    """

    format_version: int
    name: str
    fingerprint: str
    source: SourceRecord
    settings: dict[str, Any]
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    channels: Literal[1, 3]
    raw: bool
    weighted: bool
    image_sizes: dict[str, int]
    formats: dict[str, int]
    splits: dict[str, SplitRecord]
    statistics: PixelStatistics
    counts: Counts
    duplicates: DuplicateRecord
    images: File
    files: tuple[File, ...]

    @property
    def every_file(self) -> list[File]:
        """All files of the dataset beside the manifest."""
        shards: list[File] = [shard for split in self.splits.values() for shard in split.shards]
        return [*shards, self.images, *self.files]

    def write(self, directory: Path | str) -> str:
        """Write `manifest.json` there, whole or not at all, with its own checksum; its path."""
        content = self.model_dump(mode="json")
        content[_CHECKSUM] = _checksum(content)
        path = files.join(directory, MANIFEST_FILE)
        files.write_json(path, content)
        return path


def dataset_fingerprint(kind: str, source: str, settings: Mapping[str, Any]) -> str:
    """The fingerprint, sha256 (hex), of a dataset made from a source by these settings.

    Args:
        kind: the source's.
        source: the source's fingerprint.
        settings: as a manifest holds them. How much may be rejected changes nothing that is
            prepared, so that it has no part in it.

    """
    decisive = {name: value for name, value in settings.items() if name != "max_reject_share"}
    content = {
        "format_version": FORMAT_VERSION,
        "source": [kind, source],
        "settings": decisive,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def describe_file(directory: Path | str, file: str) -> File:
    """What a manifest says of a file in its folder."""
    digest = hashlib.sha256()
    blocks, size = [], 0
    with files.open_input(files.join(directory, file)) as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
            blocks.append(google_crc32c.value(block))
            size += len(block)
    return File(file=file, bytes=size, sha256=digest.hexdigest(), blocks=tuple(blocks))


def load_manifest(directory: Path | str) -> Manifest:
    """The manifest of a dataset whose files are there and look as it says.

    The manifest is held to its own checksum and every file to its size. Of a local dataset up to
    256 MiB are read and held to their checksums, which is all of a small one; a process does so
    once. Damage elsewhere is found by each record's checksum when it is read, and by
    `twofold.components.data.verification.verify_dataset`.

    Raises:
        DataError: there is no such folder, it is no dataset, the manifest is damaged, edited or of
            another format version, or a file is missing or not as recorded.

    """
    if not files.names(directory) and not files.exists(directory):
        raise DataError(f"no such dataset folder: {directory}")
    path = files.join(directory, MANIFEST_FILE)
    if not files.exists(path):
        raise DataError(f"{directory} is no prepared dataset: it has no {MANIFEST_FILE}")
    manifest = parse_manifest(path)
    for file in manifest.every_file:
        _check_size(files.join(directory, file.file), file)
    if not files.is_remote(directory):
        _check_blocks(Path(directory), manifest)
    return manifest


def parse_manifest(path: Path | str) -> Manifest:
    """The manifest in a file, held to its own checksum; see `load_manifest`."""
    try:
        content = json.loads(files.read_bytes(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: expected format version {FORMAT_VERSION}, received {version}; "
            "prepare the dataset again"
        )
    recorded = content.pop(_CHECKSUM, None)
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is damaged: field {field}: {first['msg']}") from error
    if recorded != _checksum(content):
        raise DataError(
            f"{path} is damaged or was edited: its checksum is {str(recorded)[:12]}, and its "
            f"content gives {_checksum(content)[:12]}; prepare the dataset again"
        )
    return manifest


def read_code(directory: Path | str) -> dict[str, str] | None:
    """The modules that prepared a dataset with hashes of their code; None if not known."""
    path = files.join(directory, CODE_FILE)
    if not files.exists(path):
        return None
    try:
        code = json.loads(files.read_bytes(path))
    except ValueError:
        return None
    if not isinstance(code, dict) or not all(isinstance(one, str) for one in code.values()):
        return None
    return code


def damaged_files(directory: Path | str) -> list[str]:
    """What is wrong with a dataset at a glance, one sentence each.

    The manifest is held to its own checksum and, on a local disk, every file to its size; in a
    bucket every file has to be there.
    """
    try:
        manifest = parse_manifest(files.join(directory, MANIFEST_FILE))
    except DataError as error:
        return [str(error)]
    if files.is_remote(directory):
        there = set(files.names(directory))
        missing = [file.file for file in manifest.every_file if file.file not in there]
        return [f"{files.join(directory, name)} is missing" for name in missing]
    problems = []
    for file in manifest.every_file:
        try:
            _check_size(files.join(directory, file.file), file)
        except DataError as error:
            problems.append(str(error))
    return problems


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_size(path: str, file: File) -> None:
    size = files.size(path)
    if size is None:
        raise DataError(f"{path}: the manifest lists this file, and it is missing")
    if size != file.bytes:
        raise DataError(f"{path}: expected {file.bytes} bytes as in the manifest, found {size}")


# What has been checked in this process: path, fingerprint, and the time each file was changed.
_checked: set[tuple[Any, ...]] = set()


def _check_blocks(directory: Path, manifest: Manifest) -> None:
    listed = [(directory / file.file, file) for file in manifest.every_file]
    seen = (str(directory), manifest.fingerprint, *(path.stat().st_mtime_ns for path, _ in listed))
    if seen in _checked:
        return
    blocks = [(path, file, n) for path, file in listed for n in range(len(file.blocks))]
    stride = max(1, math.ceil(len(blocks) * _BLOCK / _CHECKED_BYTES))
    for path, file, number in blocks[::stride]:
        with path.open("rb") as opened:
            opened.seek(number * _BLOCK)
            if google_crc32c.value(opened.read(_BLOCK)) != file.blocks[number]:
                raise DataError(
                    f"{path} is damaged after byte {number * _BLOCK}: its checksum is another than "
                    f"in the manifest; `twofold verify {directory}` tells all, and preparing the "
                    f"dataset again in an empty folder mends it"
                )
    _checked.add(seen)
