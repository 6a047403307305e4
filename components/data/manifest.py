"""What a prepared dataset says about itself: `manifest.json`, written last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.data.errors import DataError

FORMAT_VERSION = 1
MANIFEST_FILE = "manifest.json"
REJECTS_FILE = "rejects.jsonl"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceRecord(_Record):
    """The source the images came from; `ignored` counts its entries that were no images."""

    kind: str
    fingerprint: str
    ignored: int


class Settings(_Record):
    """The arguments of `prepare` that decided what was written."""

    test_share: float
    split_seed: int
    validation_share: float
    max_reject_share: float
    images_per_shard: int


class Shard(_Record):
    """One file of records, beside the manifest; `sha256` (hex) and `bytes` are the file's."""

    file: str
    images: int
    bytes: int
    sha256: str


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
    """Images read, written and rejected; the rejected ones also by reason."""

    read: int
    written: int
    rejected: int
    reasons: dict[str, int]


class Manifest(_Record):
    """A prepared dataset.

    Attributes:
        fingerprint: sha256 (hex) of the source's fingerprint, the settings and the format version.
        channels: 1 where every image is greyscale, else 3.
        image_sizes: images by "HxW", as stored.

    """

    format_version: int
    name: str
    fingerprint: str
    source: SourceRecord
    settings: Settings
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    channels: Literal[1, 3]
    image_sizes: dict[str, int]
    splits: dict[str, SplitRecord]
    statistics: PixelStatistics
    counts: Counts

    def write(self, directory: Path) -> Path:
        """Write `manifest.json` there, whole or not at all, and return its path."""
        path = directory / MANIFEST_FILE
        staged = directory / f".{MANIFEST_FILE}.tmp"
        with staged.open("w", encoding="utf-8") as file:
            json.dump(self.model_dump(mode="json"), file, indent=2, sort_keys=True)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
        return path


def load_manifest(directory: Path | str) -> Manifest:
    """The manifest of a dataset whose shards are all there.

    Raises:
        DataError: there is no such folder, it is no dataset, the manifest is damaged or of another
            format version, or a shard is missing or of another size than recorded.

    """
    directory = Path(directory)
    if not directory.is_dir():
        raise DataError(f"no such dataset folder: {directory}")
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise DataError(f"{directory} is no prepared dataset: it has no {MANIFEST_FILE}")
    manifest = _parse(path)
    for split in manifest.splits.values():
        for shard in split.shards:
            _check_shard(directory / shard.file, shard)
    return manifest


def _parse(path: Path) -> Manifest:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{path}: expected format version {FORMAT_VERSION}, received {version}; "
            "prepare the dataset again"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is damaged: field {field}: {first['msg']}") from error


def _check_shard(path: Path, shard: Shard) -> None:
    if not path.is_file():
        raise DataError(f"{path}: the manifest lists this shard, and it is missing")
    size = path.stat().st_size
    if size != shard.bytes:
        raise DataError(f"{path}: expected {shard.bytes} bytes as in the manifest, found {size}")
