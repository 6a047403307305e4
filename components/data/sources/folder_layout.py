"""Folder layout: the split and the class that an image's folders and name say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from twofold.components.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
    "unsup": "unlabelled",
    "unsupervised": "unlabelled",
}

# What else the first folders are called where all of them name splits.
_NEAR_NAMES = SPLIT_NAMES | {"dev": "validation", "eval": "validation", "holdout": "test"}
_AFFIXES = re.compile(r"(?:(?:images?|data|set)[_ -])?(.*?)(?:[_ -]?(?:images?|data|set))?")

# Labels above this are identifiers rather than classes.
MOST_CLASSES = 100_000

_NUMBER = re.compile(r"-1|0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class FolderLayout:
    """What the folders of a source's images mean.

    Attributes:
        by_split: whether the first folder of every image is a split, if only nearly by its name
            (``test_set``); the next one is the class then, and otherwise the first.
        reserved: whether a folder where a class would stand, named like one of images without
            labels (``unlabelled``), is one.

    """

    by_split: bool
    reserved: bool = True

    def split_and_class(self, key: str) -> tuple[str | None, str | None]:
        """The split and the class name that a key's folders name, None where they name none.

        Args:
            key: a path with forward slashes.

        """
        folders = key.split("/")[:-1]
        split = _nearly_named(folders.pop(0)) if self.by_split else None
        if split == "unlabelled" or not folders:
            return split, None
        if self.reserved and is_unlabelled(folders[0]):
            return split or "unlabelled", None
        return split, folders[0]


def split_named(text: str) -> str | None:
    """The split that a name of `SPLIT_NAMES` means, in capitals or not; None for any other."""
    return SPLIT_NAMES.get(text.lower())


def _nearly_named(text: str) -> str | None:
    """The split that a first folder's name means where all of them mean one."""
    name = _AFFIXES.fullmatch(text.lower())
    return split_named(text) or (_NEAR_NAMES.get(name[1]) if name else None)


def is_unlabelled(text: str) -> bool:
    """Whether a name is one of images without labels."""
    return split_named(text) == "unlabelled"


class FolderNames:
    """The first two folders of every image of a source, from which its layout is told.

    Attributes:
        first: the names of first folders, "" for an image outside any.
        second: of each first folder, the names of those in it that can tell anything, or "".

    """

    def __init__(self) -> None:
        self.first: set[str] = set()
        self.second: dict[str, set[str]] = {}

    def add(self, key: str) -> None:
        """Takes in one image's folders."""
        folders = [*key.split("/")[:-1], "", ""]
        first, second = folders[:2]
        self.first.add(first)
        # There may be a folder for each image.
        telling = _nearly_named(first) or split_named(second)
        self.second.setdefault(first, set()).add(second if telling else "")

    def layout(self, where: str, folder: str | None = None) -> FolderLayout:
        """Tells the layout of names that leave no doubt.

        Args:
            where: the source's paths, for the message of an error.
            folder: the one folder that holds all of it, for the message, too; None for archives
                and where there are several.

        Raises:
            DataError: splits stand beside what is no split, or inside a class or another split.

        """
        if all(_nearly_named(name) for name in self.first):
            self._check_splits(where)
            return FolderLayout(by_split=True)
        splits = sorted(
            name for name in self.first if split_named(name) and not is_unlabelled(name)
        )
        others = sorted(name for name in self.first if not split_named(name))
        if splits:
            raise DataError(
                f"{where}: {_listed(splits)} would be a split and {_listed(others)} would not: "
                f"expected all images in folders such as train/, test/ and unlabelled/, or "
                f"data.first_folders=classes if each first folder is a class"
            )
        self._check_classes(others, where, folder)
        return FolderLayout(by_split=False)

    def _check_splits(self, where: str) -> None:
        """Refuses splits inside a split, but for what has no label in it (``train/unlabelled``)."""
        outer = sorted(name for name in self.first if _nearly_named(name) != "unlabelled")
        inner = [
            f"{one}/{other}"
            for one in outer
            for other in sorted(self.second[one])
            if split_named(other) and not is_unlabelled(other)
        ]
        if inner:
            raise DataError(
                f"{where}: {_listed(inner, 3)} would be a split inside a split: expected classes "
                f"in {inner[0].partition('/')[0]}/: move it out, rename it if it is a class, or "
                f"name splits and labels in a table (data.source=listing)"
            )

    def _check_classes(self, classes: Sequence[str], where: str, folder: str | None) -> None:
        """Refuses splits, and images without a label, inside a class."""
        inner = [
            (one, other)
            for one in classes
            for other in sorted(self.second[one])
            if split_named(other)
        ]
        if not inner:
            return
        first, split = inner[0]
        expected = f"the splits outside the classes, as in {split}/{first}/"
        if self.first - {""} == {first}:
            expected = f"data.path={folder}/{first}" if folder else f"them without {first}/ around"
        raise DataError(
            f"{where}: {_listed(['/'.join(one) for one in inner], 3)} would be a split inside a "
            f"class: expected {expected}, or data.first_folders=classes if {first}/ is a class "
            f"with all that is in it"
        )

    def class_names(self, layout: FolderLayout) -> tuple[str, ...]:
        """The classes, sorted."""
        keys = (f"{one}/{other}/x" for one in self.first for other in self.second[one])
        found = {layout.split_and_class(key.replace("//", "/").lstrip("/"))[1] for key in keys}
        return tuple(sorted(name for name in found if name is not None))

    def describe(self, layout: FolderLayout) -> tuple[str, ...]:
        """What was taken as what, a line each."""
        classes = self.class_names(layout)
        lines = list(describe_classes(classes))
        for name in sorted(self.first - {""}):
            if layout.by_split or (layout.reserved and is_unlabelled(name)):
                lines.append(describe_split(f"{name}/", _nearly_named(name)))
        loose = layout.by_split or not classes
        if "" in self.first and not loose:
            lines.append("taken without a label: images outside the class folders")
        return tuple(lines)


def describe_classes(names: Sequence[str], unlabelled: Iterable[str] = ()) -> tuple[str, ...]:
    """Says what was taken as classes, and which label texts as none, a line each."""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    lines = [f"taken as classes: {shown}"] if names else []
    lines += [describe_split(f"label {text}", "unlabelled") for text in sorted(unlabelled)]
    return tuple(lines)


def describe_split(name: str, split: str | None) -> str:
    """Says what images of this name were taken as."""
    kind = "images without a label" if split == "unlabelled" else f"the {split} split"
    return f"taken as {kind}: {name}"


def _listed(folders: Sequence[str], most: int = 10) -> str:
    shown = [f"{name}/" if name else "images in no folder" for name in folders[:most]]
    return ", ".join(shown) + (f" and {len(folders) - most} more" if len(folders) > most else "")


def number_classes(
    found: AbstractSet[str], class_names: Sequence[str], where: str, numbers: bool | None = None
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The class names of a source, and the label of each text found in its label field.

    Numbers are labels themselves, and -1 is none; without class names theirs are 0, 1 ... up to the
    largest. Any other text is a class's name; without class names these are sorted.

    Args:
        found: the distinct texts.
        class_names: the names of labels 0, 1 ..., or empty.
        where: the file and field, for the message of an error.
        numbers: whether the texts are numbers; None takes them as numbers where all of them are,
            unless the class names are numbers, too.

    Raises:
        DataError: a label is out of range or no class's name, or there are too many.

    """
    if numbers is None:
        numbers = _are_numbers(found) and not (class_names and _are_numbers(class_names))
    names = tuple(class_names)
    if numbers:
        labels = {text: int(text) for text in found}
        low, high = min(labels.values(), default=-1), max(labels.values(), default=-1)
        names = names or tuple(map(str, range(min(high + 1, MOST_CLASSES))))
        if low < -1 or high >= len(names):
            raise DataError(
                f"{where}: expected labels from 0 to {len(names) - 1} ({len(names)} classes), -1 "
                f"for none, received {low} to {high}"
            )
        return names, labels
    names = names or tuple(sorted(found))
    if len(names) > MOST_CLASSES:
        raise DataError(f"{where}: expected at most {MOST_CLASSES} classes, received {len(names)}")
    unknown = sorted(found - set(names))
    if unknown:
        raise DataError(
            f"{where}: expected class names {', '.join(names[:10])}{' ...' * (len(names) > 10)}, "
            f"received {unknown[0]!r}"
        )
    return names, {name: label for label, name in enumerate(names)}


def _are_numbers(texts: Iterable[str]) -> bool:
    return all(_NUMBER.fullmatch(text) for text in texts)


def parse_split(text: str) -> str | None:
    """The split that a field names, None where it is empty.

    Raises:
        DataError: it is none of `SPLIT_NAMES`.

    """
    if not text:
        return None
    split = split_named(text)
    if split is None:
        raise DataError(f"expected one of {', '.join(SPLIT_NAMES)} or nothing, received {text!r}")
    return split


def label_text(text: str | None, split: str | None, class_names: Sequence[str]) -> str | None:
    """The label that a field holds, None for none: empty, or named like images without labels.

    Args:
        text: of the field.
        split: of the image; unlabelled images have no label.
        class_names: those that were given; a class of that name is one.

    """
    if not text or split == "unlabelled":
        return None
    return None if is_unlabelled(text) and text not in class_names else text


def parse_weight(value: float | str | None) -> float:
    """A finite weight above 0, of a number or of text.

    Raises:
        DataError: it is not.

    """
    try:
        weight = -1.0 if value is None else float(value)
    except ValueError:
        weight = -1.0
    if not 0 < weight < float("inf"):
        raise DataError(f"expected a finite number above 0, received {value!r}")
    return weight
