"""Folder layout: which of an image's folders is its split, which its class, and which is neither.

The layout is that of the majority. Images outside the splits are left out, so that none of them is
trained on which may belong to a test; where these are more than a fifth, or where names can be read
in two ways, the setting `data.first_folders` has to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from twofold.components.data.sources.folders.folder_census import LEVELS, FolderCensus, Shape
from twofold.components.data.sources.folders.near_names import split_in_words, split_nearly_named
from twofold.components.data.sources.folders.prefixed_splits import (
    as_splits,
    find_prefixed_splits,
)
from twofold.components.data.sources.label_names import is_unlabelled
from twofold.components.errors import DataError
from twofold.components.name_lists import list_names

# The largest share of images that may lie outside the splits.
_MOST_STRAYS = 0.2
_PATTERN = re.compile(r"(?:\*/)*(?:split|class)(?:/(?:split|class|\*))*")


@dataclass(frozen=True)
class FolderLayout:
    """What the folders of a source's images mean.

    Attributes:
        roles: of the first folders in their order, "split", "class" or "*" for neither. A folder
            is a split, too, if it is one only nearly by its name (`test_set`).
        reserved: whether a folder named like one of images without labels (`unlabelled`) is one.
        by_word: whether one word of a folder's name tells the split (`pets_train`).

    """

    roles: tuple[str, ...]
    reserved: bool = True
    by_word: bool = False

    @property
    def pattern(self) -> str:
        """As the setting has it."""
        return "/".join(self.roles)

    def split_and_class(self, path: str) -> tuple[str | None, str | None] | None:
        """The split and the class name that an image's folders name, None where they name none.

        Args:
            path: of its folder, with forward slashes.

        Returns:
            None for an image that is left out, since it lies outside the splits.

        """
        folders = path.split("/") if path else []
        named = dict(zip(self.roles, folders, strict=False))
        tell = split_in_words if self.by_word else split_nearly_named
        split = tell(named.get("split", ""))
        first = folders[: len(self.roles)]
        if self.reserved and (split == "unlabelled" or any(map(is_unlabelled, first))):
            return split or "unlabelled", None
        if "split" in self.roles and split is None:
            return None
        return split, named.get("class")


def parse_layout(setting: str) -> FolderLayout | None:
    """The layout that the setting names, None for one that is to be found out.

    Args:
        setting: `auto`, `classes`, or a pattern such as `class/split`.

    Raises:
        ValueError: it is neither.

    """
    if setting == "auto":
        return None
    if setting == "classes":
        return FolderLayout(("class",), reserved=False)
    roles = setting.split("/")
    if not _PATTERN.fullmatch(setting) or max(map(roles.count, ("split", "class"))) > 1:
        raise ValueError
    return FolderLayout(tuple(roles))


def find_layout(census: FolderCensus, where: str) -> FolderLayout:
    """The layout of folders whose names leave no doubt.

    Args:
        census: of all images.
        where: the source's paths, for the message of an error.

    Raises:
        DataError: splits stand beside what is none, or inside a class or another split, or
            deeper than they are looked for.

    """
    if census.too_deep:
        raise DataError(
            f"{where}: a split below more than {LEVELS} folders in {census.too_deep}/: expected a "
            f"path nearer to the images, or data.first_folders to say what the first folders are"
        )
    shapes = list(census)
    depth = max((len(shape.marks) for shape in shapes), default=0)
    by_level = [_at(level, shapes) for level in range(depth)]
    level = max(range(depth), key=lambda one: (_count(by_level[one]), -one), default=0)
    inside = by_level[level] if by_level else []
    splits = [shape for shape in inside if _split_at(shape, level)]
    share = _count(inside) / census.images if census.images else 0.0
    if (splits and share >= 1 - _MOST_STRAYS) or (share == 1 and not _exact(inside)):
        return _with_splits(splits or inside, level, where)
    _check_classes(shapes, where)
    prefixed = find_prefixed_splits(shapes, where)
    if prefixed is not None:
        return replace(_with_splits(as_splits(shapes), prefixed, where), by_word=True)
    return FolderLayout(("class",))


def chosen_layout(layout: FolderLayout, census: FolderCensus) -> FolderLayout:
    """A chosen layout, whose splits one word tells where no folder's whole name does."""
    if "split" not in layout.roles:
        return layout
    level = layout.roles.index("split")
    marks = [shape.marks[level] for shape in census if len(shape.marks) > level]
    return replace(layout, by_word=not any(mark.split for mark in marks))


def _at(level: int, shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes that fit splits at this level, those of images without labels among them."""
    reaching = [shape for shape in shapes if len(shape.marks) > level]
    names_one = any(shape.marks[level].exact and _split_at(shape, level) for shape in reaching)
    fitting = []
    for shape in shapes:
        marks = shape.marks
        first = shape.first(lambda mark: mark.sure)
        if any(mark.exact and mark.split == "unlabelled" for mark in marks[: level + 1]):
            fitting.append(shape)
        elif len(marks) > level and marks[level].split is not None:
            before = marks[first:level] if first is not None else ()
            if all(mark.split == marks[level].split for mark in before):
                fitting.append(shape)
    if names_one or all(shape in fitting for shape in reaching):
        return fitting
    return [shape for shape in fitting if any(mark.exact for mark in shape.marks[: level + 1])]


def _split_at(shape: Shape, level: int) -> bool:
    """Whether a split of images with labels stands at this level."""
    marks = shape.marks
    return len(marks) > level and marks[level].split not in (None, "unlabelled")


def _exact(shapes: Iterable[Shape]) -> bool:
    return all(shape.marks and shape.marks[0].exact for shape in shapes)


def _count(shapes: Iterable[Shape]) -> int:
    return sum(shape.images for shape in shapes)


def _with_splits(shapes: Sequence[Shape], level: int, where: str) -> FolderLayout:
    """The layout of images whose splits stand at a level."""
    # Archives of one split are often unpacked into a folder of its name, as in train/train/.
    while all(
        len(shape.marks) > level + 1 and shape.marks[level + 1].split == shape.marks[level].split
        for shape in shapes
    ):
        level += 1
    before = ["*"] * level
    varying = [
        one
        for one in range(level)
        if len({name for shape in shapes for name in shape.names[one]}) > 1
        and not all(shape.marks[one].split for shape in shapes)
    ]
    deeper = [shape for shape in shapes if len(shape.marks) > level + 1]
    if not varying:
        after = ["class"]
        names = {name for shape in deeper for name in shape.names[level + 1]}
        if len(names) == 1 and all(shape.marks[level + 1].container for shape in deeper):
            after = ["*", "class"]
        layout = FolderLayout((*before, "split", *after))
    elif len(varying) == 1 and 2 * _count(deeper) < _count(shapes):
        before[varying[0]] = "class"
        layout = FolderLayout((*before, "split"))
    else:
        behind = 2 * _count(deeper) >= _count(shapes)
        inside = deeper if behind else shapes
        folders = sorted({path for shape in inside for path in shape.paths(level + 1 + behind)})
        choices = [["class" if one == each else "*" for one in range(level)] for each in varying]
        patterns = ["/".join([*before, "split/class"])] * behind
        patterns += ["/".join([*choice, "split"]) for choice in choices]
        place = "the folder before the split or the one in it" if behind else "any before the split"
        raise DataError(
            f"{where}: in {_listed(folders, 3)} the class may be {place}: expected "
            f"{' or '.join(f'data.first_folders={pattern}' for pattern in patterns)}"
        )
    _check_splits(shapes, level, where)
    return layout


def _check_splits(shapes: Sequence[Shape], level: int, where: str) -> None:
    """Refuses splits inside another one, but for what has no label in it (`train/unlabelled`)."""
    inner: set[str] = set()
    for shape in shapes:
        for below, mark in enumerate(shape.marks[level + 1 :], level + 1):
            other = mark.split != shape.marks[level].split
            if mark.held_apart and (below == level + 1 or (mark.exact and other)):
                inner |= shape.paths(below + 1)
    if inner:
        names = sorted(inner)
        raise DataError(
            f"{where}: {_listed(names, 3)} would be a split inside a split: expected classes in "
            f"{names[0].rstrip('/').rpartition('/')[0]}/: move it out, rename it if it is a class, "
            f"or name splits and labels in a table (data.source=listing)"
        )


def _check_classes(shapes: Sequence[Shape], where: str) -> None:
    """Refuses splits among the classes or inside one, and images without a label inside one."""
    splits: set[str] = set()
    inner: set[str] = set()
    others: set[str] = set()
    for shape in shapes:
        first = shape.first(lambda mark: mark.sure)
        if first is None or first > 0:
            others |= shape.paths(1)
        if first:
            inner |= shape.paths(first + 1)
        elif first == 0 and (_split_at(shape, 0) or not shape.marks[0].exact):
            splits |= shape.paths(1)
    if splits:
        raise DataError(
            f"{where}: {_listed(sorted(splits))} would be a split and {_listed(sorted(others))} "
            f"would not: expected all images in folders such as train/, test/ and unlabelled/, or "
            f"data.first_folders=classes if each first folder is a class, or "
            f"data.first_folders=split/class to leave out what is in no split"
        )
    if inner:
        names = sorted(inner)
        *outer, split = names[0].rstrip("/").split("/")
        raise DataError(
            f"{where}: {_listed(names, 3)} would be a split inside a class: expected the splits "
            f"outside the classes, as in {'/'.join([split, *outer])}/, or in each of them, or "
            f"data.first_folders=classes if {outer[0]}/ is a class with all that is in it"
        )


def check_strays(strays: int, images: int, first: str, layout: FolderLayout, where: str) -> None:
    """Refuses a layout by which most images would be left out."""
    if 2 * strays > images:
        raise DataError(
            f"{where}: {strays:,} of {images:,} images, {first} the first, are not in a split: "
            f"expected folders as data.first_folders={layout.pattern} says, or another layout there"
        )


def _listed(folders: Sequence[str], most: int = 10) -> str:
    return list_names([name or "images in no folder" for name in folders], most)
