"""Labels, splits and weights as the names and fields of a source say them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from twofold.components.errors import DataError
from twofold.components.name_lists import list_names

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

# Labels above this are identifiers rather than classes.
MOST_CLASSES = 100_000

_NUMBER = re.compile(r"-1|0|[1-9][0-9]{0,17}")


def split_named(text: str) -> str | None:
    """The split that a name of `SPLIT_NAMES` means, in capitals or not; None for any other."""
    return SPLIT_NAMES.get(text.lower())


def is_unlabelled(text: str) -> bool:
    """Whether a name is one of images without labels."""
    return split_named(text) == "unlabelled"


def describe_classes(names: Sequence[str], unlabelled: Iterable[str] = ()) -> tuple[str, ...]:
    """Says what was taken as classes, and which label texts as none, a line each."""
    lines = [f"taken as classes: {list_names(names)}"] if names else []
    lines += [describe_split(f"label {text}", "unlabelled") for text in sorted(unlabelled)]
    return tuple(lines)


def describe_split(name: str, split: str | None) -> str:
    """Says what images of this name were taken as."""
    kind = "images without a label" if split == "unlabelled" else f"the {split} split"
    return f"taken as {kind}: {name}"


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
