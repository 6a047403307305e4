"""NumPy source: arrays of images in one .npz or .npy file."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn

import numpy as np
from pydantic import Field

from twofold.components import files
from twofold.components.data.sources.access.file_listing import file_stamp
from twofold.components.data.sources.access.once_per_process import Shared
from twofold.components.data.sources.label_names import MOST_CLASSES
from twofold.components.data.sources.permuted_split import PermutedSplit
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    LatentSettings,
    OnePath,
    Select,
    SourceInfo,
    position_range,
    positions,
    select_all,
)
from twofold.components.errors import DataError
from twofold.components.settings import Texts, local_only

IMAGE_FIELDS = ("images", "imgs", "x", "image")
LABEL_FIELDS = ("labels", "label", "y")
LATENT_FIELDS = ("latents", "latents_values")

# What a .npy file's one array is called.
_ONLY_FIELD = "images"
_CHECKED_BYTES = 64 << 20

_DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError)


@SOURCES.register
class NpzSettings(LatentSettings):
    """Settings of arrays of images."""

    name: Literal["npz"] = "npz"
    reads_files: ClassVar[bool] = False
    path: Annotated[OnePath, local_only("data.path")] = Field(
        description="one .npz or .npy file on a local disk"
    )
    image_field: str | None = Field(
        None, description="array of images; null: the first of images, imgs, x, image"
    )
    label_field: str | None = Field(
        None, description="array of labels, -1 for none; null: the first of labels, label, y"
    )
    class_names: Texts = Field((), description="names of labels 0, 1 ...; empty: their numbers")
    latents_field: str | None = Field(
        None, description="array of latents; null: the first of latents, latents_values"
    )
    latent_names: Texts = Field(
        (), description="names of the latents' columns; empty: latent_0 ..."
    )
    label_latent: str | None = Field(
        None, description="the latent that is the label, where there is no array of labels"
    )

    def build(self) -> NpzSource:
        """Builds the source."""
        return NpzSource(**self.arguments() | {"path": self.path[0]})

    @property
    def label_name(self) -> str:
        """The latent that is the label, if it is one."""
        return self.label_latent or "class"


@dataclass(frozen=True)
class _Arrays:
    """What the file holds: images [N, H, W, C], labels int64 [N], latents float64 [N, L].

    Images times `scale` are from 0 to 255.
    """

    images: np.ndarray
    scale: int
    labels: np.ndarray
    latents: np.ndarray
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]


_ARRAYS: Shared[_Arrays] = Shared()


class NpzSource:
    """Images, and where there are any labels and latents, from the arrays of an .npz file.

    Images are [N, H, W] or [N, H, W, C] with C 1 or 3. Integers are taken as 0 to 255, floats as 0
    to 1; an integer or boolean array whose largest value is at most 1 holds binary images and is
    scaled to 0 and 255. Keys are `<file stem>/<position, eight digits>`. Each process that reads
    loads the arrays into its memory. A .npy file holds images alone and is mapped into memory, so
    that it may be larger. Pickled fields are never loaded.

    Args:
        path: the file, on a local disk.
        image_field: the images' field; None takes the first of images, imgs, x, image.
        label_field: integer labels [N], -1 for none; None takes the first of labels, label, y.
        latents_field: [N, L]; None takes the first of latents, latents_values.
        latent_names: the L names; without them latent_0, latent_1 ...
        label_latent: where there are no labels, the latent whose value, ranked among its distinct
            values, is the label.
        class_names: the names of labels 0, 1 ...; without them the label's number, or the
            `label_latent`'s value.
        permuted_split: which images are held out; None leaves that open.

    Raises:
        DataError: there is no such file, or it is no such archive. Later, that one of its fields is
            not as described.

    """

    def __init__(
        self,
        path: str | Path,
        *,
        image_field: str | None,
        label_field: str | None,
        latents_field: str | None,
        latent_names: Sequence[str],
        label_latent: str | None,
        class_names: Sequence[str],
        permuted_split: PermutedSplit | None = None,
    ):
        if files.is_remote(path):
            raise DataError(
                f"npz source: {path}: its arrays are read from a local disk; copy the file there"
            )
        self._path = Path(path).expanduser().absolute()
        self._fields = (image_field, label_field, latents_field)
        self._latent_names = tuple(latent_names)
        self._label_latent = label_latent
        self._class_names = tuple(class_names)
        self._permuted_split = permuted_split
        self._content = self._identify()
        self._held: _Arrays | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Names, count, and a fingerprint of the file's members and of how they are read."""
        arrays = self._arrays()
        return SourceInfo(
            kind="npz",
            class_names=arrays.class_names,
            latent_names=arrays.latent_names,
            fingerprint=self._fingerprint(),
            items=len(arrays.images),
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Positions in the arrays."""
        return positions(0, len(self._arrays().images), items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The rows at a task's positions."""
        arrays, permuted = self._arrays(), self._permuted_split
        content_id = f"{self._content} {self._fields[0] or ''}".rstrip()
        for position in position_range(task):
            key = f"{self._path.stem}/{position:08d}"
            image: bytes | np.ndarray = b""
            if selected(key, content_id):
                image = _to_uint8(arrays.images[position], arrays.scale)
            yield Item(
                key=key,
                image=image,
                label=int(arrays.labels[position]),
                latents=tuple(arrays.latents[position].tolist()),
                split=None if permuted is None else permuted.split_of(position, len(arrays.images)),
                content_id=content_id,
            )

    def _identify(self) -> str:
        """Text that changes with the file's content."""
        if self._path.is_dir():
            raise DataError(f"npz source: {self._path} is a folder: expected a .npz or .npy file")
        if not self._path.is_file():
            raise DataError(f"npz source: no such file: {self._path}")
        if self._path.suffix == ".npy":
            return file_stamp(str(self._path))
        try:
            with zipfile.ZipFile(self._path) as archive:
                members = [(m.filename, m.CRC, m.file_size) for m in archive.infolist()]
        except _DAMAGED as error:
            raise DataError(f"{self._path}: not a readable .npz file ({error})") from error
        content_id = repr(sorted(members)).encode("utf-8", "backslashreplace")
        return hashlib.sha256(content_id).hexdigest()[:32]

    def _fingerprint(self) -> str:
        settings: tuple[object, ...] = (
            self._fields,
            self._latent_names,
            self._label_latent,
            self._class_names,
        )
        if self._permuted_split is not None:
            settings += (self._permuted_split.model_dump(),)
        content_id = repr(("npz", self._path.stem, self._content, settings))
        return hashlib.sha256(content_id.encode("utf-8", "backslashreplace")).hexdigest()

    def _arrays(self) -> _Arrays:
        if self._held is None:
            key = (str(self._path), self._fingerprint())
            self._held = _ARRAYS.get(key, self._load)
        return self._held

    def _load(self) -> _Arrays:
        if self._identify() != self._content:
            raise DataError(f"{self._path}: changed while it was being prepared")
        fields = _Fields(self._path)
        image_field, label_field, latents_field = self._fields
        image_field = fields.choose(image_field, IMAGE_FIELDS) or fields.missing(IMAGE_FIELDS)
        images, scale = self._check_images(image_field, fields.load(image_field))
        latents_field = fields.choose(latents_field, LATENT_FIELDS)
        if latents_field is None and self._latent_names:
            fields.missing(LATENT_FIELDS)
        latents, latent_names = self._load_latents(fields, latents_field, len(images))
        label_field = fields.choose(label_field, LABEL_FIELDS)
        labels, class_names = self._load_labels(fields, label_field, latents, latent_names)
        return _Arrays(images, scale, labels, latents, class_names, latent_names)

    def _refuse(self, field: str, expected: str, received: object) -> DataError:
        return DataError(f"{self._path}: field {field!r}: expected {expected}, received {received}")

    def _check_images(self, field: str, images: np.ndarray) -> tuple[np.ndarray, int]:
        """Images [N, H, W, C], and what makes their values 0 to 255."""
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
            expected = "images [N, H, W] or [N, H, W, C] with C 1 or 3, none of them 0"
            raise self._refuse(field, expected, f"shape {images.shape}")
        if images.dtype.kind not in "buif":
            raise self._refuse(field, "numbers or booleans", f"type {images.dtype}")
        top = 1 if images.dtype.kind == "f" else 255
        low, high = _range(images)
        if not (low >= 0 and high <= top):
            expected = f"values from 0 to {top} ({images.dtype})"
            raise self._refuse(field, expected, f"{low} to {high}")
        return images, 255 if high <= 1 else 1

    def _load_latents(
        self, fields: _Fields, field: str | None, count: int
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        if field is None:
            return np.zeros((count, 0)), ()
        latents = fields.load(field)
        if latents.ndim != 2 or len(latents) != count or latents.dtype.kind not in "buif":
            received = f"shape {latents.shape} of {latents.dtype}"
            raise self._refuse(field, f"numbers [{count}, L]", received)
        names = self._latent_names or tuple(f"latent_{i}" for i in range(latents.shape[1]))
        if len(names) != latents.shape[1]:
            received = f"{latents.shape[1]} columns"
            raise self._refuse(field, f"a column for each of latent_names {names}", received)
        return latents.astype(np.float64), names

    def _load_labels(
        self,
        fields: _Fields,
        field: str | None,
        latents: np.ndarray,
        latent_names: tuple[str, ...],
    ) -> tuple[np.ndarray, tuple[str, ...]]:
        if field is not None:
            labels = fields.load(field)
            labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
            if labels.shape != latents.shape[:1] or labels.dtype.kind not in "bui":
                received = f"shape {labels.shape} of {labels.dtype}"
                raise self._refuse(field, f"integers [{len(latents)}]", received)
            labels = labels.astype(np.int64)
            counted = min(int(labels.max()) + 1, MOST_CLASSES)
            names = self._class_names or tuple(map(str, range(counted)))
        elif self._label_latent is not None:
            field = self._label_latent
            if field not in latent_names:
                known = ", ".join(latent_names) or "none (the file has no latents)"
                raise DataError(f"{self._path}: no latent {field!r}; known latents: {known}")
            values, labels = np.unique(latents[:, latent_names.index(field)], return_inverse=True)
            names = self._class_names or tuple(f"{value:g}" for value in values)
        else:
            return np.full(len(latents), -1, np.int64), ()
        if labels.min() < -1 or labels.max() >= len(names):
            expected = f"labels from 0 to {len(names) - 1} ({len(names)} classes), -1 for none"
            raise self._refuse(field, expected, f"{labels.min()} to {labels.max()}")
        return labels, names


class _Fields:
    """The named arrays of one .npz file, or a .npy file's one array."""

    def __init__(self, path: Path):
        self._path = path
        self._present: tuple[str, ...] = (_ONLY_FIELD,)
        if path.suffix != ".npy":
            with np.load(path, allow_pickle=False) as archive:
                self._present = tuple(archive.files)

    def choose(self, named: str | None, usual: Sequence[str]) -> str | None:
        """The requested field, else the first usual one, else None."""
        if named is None:
            return next((field for field in usual if field in self._present), None)
        return named if named in self._present else self.missing((named,))

    def missing(self, fields: Sequence[str]) -> NoReturn:
        """Say that the file has none of these fields."""
        selected = " or ".join(map(repr, fields))
        raise DataError(f"{self._path}: no field {selected}; present: {', '.join(self._present)}")

    def load(self, field: str) -> np.ndarray:
        """The array, without ever unpickling."""
        array: np.ndarray
        try:
            if self._path.suffix == ".npy":
                array = np.lib.format.open_memmap(self._path, mode="r")
            else:
                with np.load(self._path, allow_pickle=False) as archive:
                    array = archive[field]
        except _DAMAGED as error:
            raise DataError(f"{self._path}: field {field!r} is unreadable ({error})") from error
        return array


def _range(images: np.ndarray) -> tuple[Any, Any]:
    """The least and the largest value, in parts: the array may be mapped, and larger than memory.

    Of uint8 images, which are all in range, what is seen until one is above 1.
    """
    rows = max(1, _CHECKED_BYTES // max(1, images[0].nbytes))
    lows, highs = [], []
    for start in range(0, len(images), rows):
        part = images[start : start + rows]
        lows.append(part.min())
        highs.append(part.max())
        if images.dtype == np.uint8 and highs[-1] > 1:
            break
    # Unlike Python's, these give NaN where there is one.
    return np.min(lows), np.max(highs)


def _to_uint8(image: np.ndarray, scale: int) -> np.ndarray:
    """A copy: a part of a file that is mapped into memory would travel as that."""
    if image.dtype.kind == "f":
        return np.rint(np.array(image, np.float64) * scale).astype(np.uint8)
    return np.array(image, np.uint8) * np.uint8(scale)
