"""Folder layout: the split and the class that an image's folders and name say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from twofold.components.errors import DataError

SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}

# Labels above this are identifiers rather than classes.
MOST_CLASSES = 100_000

_NUMBER = re.compile(r"-1|0|[1-9][0-9]{0,17}")


def in_split_folder(key: str) -> bool:
    """Whether the first folder of a key is one of `SPLIT_FOLDERS`."""
    first, slash, _ = key.partition("/")
    return bool(slash) and first in SPLIT_FOLDERS


def split_and_class(key: str, by_split: bool) -> tuple[str | None, str | None]:
    """The split and the class name that a key's folders name, None where they name none.

    Args:
        key: a path with forward slashes.
        by_split: whether the first folder of every key of the source is a split; the next folder
            is the class then, and otherwise the first. Unlabelled images have no class.

    """
    folders = key.split("/")[:-1]
    if not by_split:
        return None, folders[0] if folders else None
    split = SPLIT_FOLDERS[folders[0]]
    return split, folders[1] if len(folders) > 1 and split != "unlabelled" else None


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
        DataError: it is none of `SPLIT_FOLDERS`.

    """
    if not text:
        return None
    if text not in SPLIT_FOLDERS:
        known = ", ".join(SPLIT_FOLDERS)
        raise DataError(f"expected one of {known} or nothing, received {text!r}")
    return SPLIT_FOLDERS[text]


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
