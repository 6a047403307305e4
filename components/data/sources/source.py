"""Source interface: what each kind of source of images gives, its settings, the registry."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from twofold.components.data.sources.permuted_split import PermutedSplit
from twofold.components.settings import Registry, Section, Texts

# Of a key and a content id, whether the image is to be read.
Select = Callable[[str, str], bool]


@dataclass(frozen=True)
class Item:
    """One image and what is known about it.

    Attributes:
        key: stable and unique in its source; everything random about the image hashes from it.
        image: the bytes of an image file, or uint8 [H, W, C] pixels with C 1 or 3; b"" where it was
            not selected or could not be read.
        label: an index into the source's class names, -1 where there is none.
        latents: the generative factors' values, in the order of the source's latent names.
        split: the split that the source puts the image in, None where it has no opinion.
        group: what the image belongs to (a patient, a video, a product), None where that is not
            known; images of one group belong in one split.
        weight: how often to draw the image, relative to others; above 0.
        content_id: text that changes when the image's content does, under the same key; it costs no
            reading of the image.
        problem: why the bytes could not be read (`image` is then empty), None where they could.

    """

    key: str
    image: bytes | np.ndarray
    label: int = -1
    latents: tuple[float, ...] = ()
    split: str | None = None
    group: str | None = None
    weight: float = 1.0
    content_id: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class SourceInfo:
    """What a source says about itself before any image is read.

    Attributes:
        kind: the name of its settings in `SOURCES`.
        class_names: the names that labels index; empty without labels.
        latent_names: the names of each item's latents; empty without latents.
        fingerprint: sha256 (hex) of what the content is, whatever folder it lies in.
        items: how many images it will give.
        skipped: entries that were passed over, counted by kind (`.txt`, `hidden` ...).
        weighted: whether its items have weights of their own.
        taken_as: what its names of folders, splits and labels were taken as, a line each.

    """

    kind: str
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    fingerprint: str
    items: int
    skipped: Mapping[str, int] = field(default_factory=dict)
    weighted: bool = False
    taken_as: tuple[str, ...] = ()

    @property
    def ignored(self) -> int:
        """How many entries were passed over."""
        return sum(self.skipped.values())


def select_all(key: str, content_id: str) -> bool:
    """Selects every image."""
    return True


class Source(Protocol):
    """Items in a fixed order, handed out as tasks that any process can read on its own.

    A source is pickled into every worker, so it holds settings and not data: a listing is streamed
    into the tasks, and what is heavy otherwise (arrays, open files) is made in the process that
    needs it. No call holds more than a task's items in memory.
    """

    def info(self) -> SourceInfo:
        """Names, count and the fingerprint of the content."""

    def tasks(self, items: int) -> Iterator[bytes]:
        """Consecutive tasks of at most `items` items each, that together cover every item once.

        A task describes its items (positions, or keys with locations in files), and holds no image.
        """

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The items of a task, in order; those not selected come without their image, unread."""


class SourceSettings(Section):
    """What makes one kind of source; a subclass is registered in `SOURCES` and stands beside it.

    A setting is an argument of the source under the same name.

    Attributes:
        name: of the kind of source.
        reads_files: whether it gives the bytes of image files, of whatever format they are.

    """

    name: str
    reads_files: ClassVar[bool] = True

    def build(self) -> Source:
        """Builds the source.

        Raises:
            DataError: if the source refuses its settings or what it finds.

        """
        raise NotImplementedError

    @classmethod
    def setting_names(cls) -> list[str]:
        """Returns the names of the settings, those of this kind alone first."""
        own = [key for key in cls.__annotations__ if key in cls.model_fields]
        return [key for key in dict.fromkeys([*own, *cls.model_fields]) if key != "name"]

    def arguments(self) -> dict[str, Any]:
        """Returns the settings by name."""
        return {key: getattr(self, key) for key in self.setting_names()}

    @property
    def label_name(self) -> str:
        """What the images' label is called."""
        return "class"


SOURCES: Registry[SourceSettings] = Registry("data source")


class LatentSettings(SourceSettings):
    """Settings of sources that know the generative factors of their images."""

    latent_names: Texts = ()
    label_latent: str | None = None
    permuted_split: PermutedSplit | None = Field(
        None,
        description="held out are the last of a permutation of the images as torch.randperm draws "
        "it: {seed: 2021, test_share: 0.2}; null: data.test_share of them, by key",
    )


class TableSettings(SourceSettings):
    """Settings of sources whose rows or records have named fields."""

    label_field: str | None = Field(
        None, description="a class's name or number; null: found by its usual name"
    )
    key_field: str | None = Field(
        None, description="what names an image; null: a table's column key, or where it lies"
    )
    split_field: str | None = Field(
        None,
        description="train, val, test or unlabelled; null: a table's column split, or what the "
        "names of TFRecord files say",
    )
    group_field: str | None = Field(
        None, description="what belongs in one split together; null: a table's column group"
    )
    weight_field: str | None = Field(
        None,
        description="how often to draw an image, a number above 0; null: a table's column weight",
    )
    class_names: Texts = Field((), description="names of labels 0, 1 ...; empty: as they are found")


def _as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str | os.PathLike) else value


def _at_least_one(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise PydanticCustomError("paths", "Input should be at least one path")
    return value


def _one(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) != 1:
        raise PydanticCustomError("paths", "Input should be one path")
    return value


PathText = Annotated[str, BeforeValidator(_as_text)]
Paths = Annotated[
    tuple[PathText, ...],
    Field(strict=False),
    AfterValidator(_at_least_one),
    BeforeValidator(_as_list),
]
OnePath = Annotated[
    tuple[PathText, ...], Field(strict=False), AfterValidator(_one), BeforeValidator(_as_list)
]


def positions(start: int, stop: int, items: int) -> Iterator[bytes]:
    """Tasks that name positions from `start` up to, not including, `stop`; see `position_range`."""
    for first in range(start, stop, items):
        yield f"{first} {min(first + items, stop)}".encode()


def position_range(task: bytes) -> range:
    """The positions that a task of `positions` names."""
    start, stop = map(int, task.split())
    return range(start, stop)
