"""The images that preparing and reading are measured with: given, shared, or generated."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from twofold.components.data.sources.source import (
    Item,
    Select,
    SourceInfo,
    position_range,
    positions,
    select_all,
)

REPOSITORY = Path(__file__).resolve().parents[2]
CIFAR = "cifar10-jpeg/train.zip"
IMAGENETTE = "imagenette96/train.zip"

_CLASSES = tuple("abcdefghij")
_SPLITS = ("train", "validation", "test")
_EXTENSIONS = (".jpg", ".jpeg", ".png")


def shared(name: str) -> Path | None:
    """A file of the shared data, None where this machine has none."""
    root = Path(os.environ.get("TWOFOLD_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    return root / name if (root / name).exists() else None


def generated_jpeg(key: str, side: int) -> bytes:
    """A smooth random JPEG of side x side pixels that depends on the key alone."""
    colours = hashlib.shake_256(key.encode()).digest(4 * 4 * 3)
    picture = Image.frombytes("RGB", (4, 4), colours)
    file = io.BytesIO()
    picture.resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_generated(path: Path, count: int, side: int) -> Path:
    """A .zip of generated JPEGs in ten class folders."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            key = f"train/{_CLASSES[number % 10]}/{number:07d}.jpg"
            archive.writestr(key, generated_jpeg(key, side))
    return path


def write_first(images: Path, path: Path, count: int) -> Path:
    """A .zip of the first so many images."""
    read = open_images(images)
    with zipfile.ZipFile(path, "w") as archive:
        for key in list_images(images)[:count]:
            archive.writestr(key, read(key))
    return path


def list_images(images: Path) -> list[str]:
    """The paths of the images inside a .zip or a folder, sorted."""
    if images.is_dir():
        names = [path.relative_to(images).as_posix() for path in images.rglob("*")]
    else:
        with zipfile.ZipFile(images) as archive:
            names = archive.namelist()
    return sorted(name for name in names if name.lower().endswith(_EXTENSIONS))


class open_images:  # noqa: N801
    """A function from such a path to the file's bytes; the .zip is opened once."""

    def __init__(self, images: Path) -> None:
        self._images = images
        self._archive = None if images.is_dir() else zipfile.ZipFile(images)

    def __call__(self, name: str) -> bytes:
        if self._archive is None:
            return (self._images / name).read_bytes()
        return self._archive.read(name)


def split_and_class(key: str) -> tuple[str, str]:
    """The split and the class that the folders of a path say; "train" and "" where they do not."""
    folders = key.split("/")[:-1]
    split = folders.pop(0) if folders and folders[0] in _SPLITS else "train"
    return split, folders[0] if folders else ""


@dataclass(frozen=True)
class GeneratedSource:
    """A source of any number of small JPEGs, each made from its key when it is read."""

    items: int
    sides: tuple[int, ...] = (16, 24, 32)

    def info(self) -> SourceInfo:
        said = f"{self.items} {self.sides}".encode()
        return SourceInfo(
            kind="generated",
            class_names=_CLASSES,
            latent_names=(),
            fingerprint=hashlib.sha256(said).hexdigest(),
            items=self.items,
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        return positions(0, self.items, items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        for number in position_range(task):
            label = number % len(_CLASSES)
            key = f"{_CLASSES[label]}/{number:08d}.jpg"
            side = self.sides[number % len(self.sides)]
            image = generated_jpeg(key, side) if selected(key, key) else b""
            yield Item(key, image, label, content_id=key)
