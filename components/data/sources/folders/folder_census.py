"""Census of folders: how many images lie in folders of which kinds of names, level by level."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from twofold.components.data.sources.folders.near_names import (
    is_container,
    split_in_words,
    split_nearly_named,
    split_surely_named,
)
from twofold.components.data.sources.label_names import split_named

# Levels of folders that are counted, and names that are remembered for messages.
LEVELS = 64
_SHOWN = 11


@dataclass(frozen=True)
class Mark:
    """What the name of a folder says.

    Attributes:
        split: the split that it means, if only nearly; None for none.
        exact: whether it is one of `SPLIT_NAMES`.
        sure: whether no class has such a name.
        container: whether it says just that there are images.
        word: the split that the name or one of its words means (`pets_train`).

    """

    split: str | None = None
    exact: bool = False
    sure: bool = False
    container: bool = False
    word: str | None = None

    @property
    def held_apart(self) -> bool:
        """Whether it surely means a split of images that have labels."""
        return self.sure and self.split != "unlabelled"


@dataclass
class Shape:
    """Images whose folders say the same, level by level.

    Attributes:
        marks: of each level.
        images: how many there are.
        names: of each level, the names of its folders, or some of them.
        folders: whole paths, or some of them.

    """

    marks: tuple[Mark, ...]
    images: int = 0
    names: list[set[str]] = field(default_factory=list)
    folders: set[str] = field(default_factory=set)

    def first(self, condition: Callable[[Mark], bool]) -> int | None:
        """The first level whose mark meets the condition; None where none does."""
        return next((level for level, mark in enumerate(self.marks) if condition(mark)), None)

    def paths(self, levels: int) -> set[str]:
        """Paths of its folders down to a level."""
        paths = (path.split("/")[:levels] for path in self.folders)
        return {"".join(f"{name}/" for name in names if name) for names in paths}


class FolderCensus:
    """Images counted by what their folders say; in memory are some names of each kind.

    Attributes:
        images: how many.
        too_deep: a folder of a split below all levels that are counted; "" for none.

    """

    def __init__(self) -> None:
        self.images = 0
        self.too_deep = ""
        self._shapes: dict[tuple[Mark, ...], Shape] = {}
        self._last: tuple[str, Shape] | None = None

    def __iter__(self) -> Iterator[Shape]:
        return iter(self._shapes.values())

    def add(self, key: str) -> None:
        """Counts an image; `key` is its path with forward slashes."""
        path = key.rpartition("/")[0]
        if self._last is None or self._last[0] != path:
            # Images of a folder come one after another.
            self._last = path, self._shape(path)
        self._last[1].images += 1
        self.images += 1

    def _shape(self, path: str) -> Shape:
        names = path.split("/") if path else []
        if any(map(split_surely_named, names[LEVELS:])):
            self.too_deep = path
        names = names[:LEVELS]
        marks = tuple(map(_mark, names))
        shape = self._shapes.get(marks)
        if shape is None:
            shape = self._shapes[marks] = Shape(marks, names=[set() for _ in marks])
        if len(shape.folders) < _SHOWN:
            shape.folders.add("/".join(names))
        for name, seen in zip(names, shape.names, strict=True):
            if len(seen) < _SHOWN:
                seen.add(name)
        return shape


def _mark(name: str) -> Mark:
    split = split_nearly_named(name)
    return Mark(
        split=split,
        exact=split_named(name) is not None,
        sure=split is not None and split_surely_named(name) is not None,
        container=is_container(name),
        word=split_in_words(name),
    )
