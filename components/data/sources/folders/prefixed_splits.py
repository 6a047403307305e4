"""Prefixed splits: folders whose names have a split as one of their words, as `pets_train` has.

Classes may be called so, too (`freight_train` beside `bus`), so that only names that differ in
nothing but the split are splits, and only where every image lies in one of these.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from twofold.components.data.sources.folders.folder_census import Shape
from twofold.components.data.sources.folders.near_names import joined_splits, other_words
from twofold.components.errors import DataError


def find_prefixed_splits(shapes: Sequence[Shape], where: str) -> int | None:
    """The level of folders at which such splits stand; None where none does.

    Args:
        shapes: of all images.
        where: the source's paths, for the message of an error.

    Raises:
        DataError: there are such names, and others, or names that differ in more than the split.

    """
    images = sum(shape.images for shape in shapes)
    for level in range(max((len(shape.marks) for shape in shapes), default=0)):
        worded = [shape for shape in shapes if len(shape.marks) > level and shape.marks[level].word]
        splits: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for shape in worded:
            word = shape.marks[level].word
            for name in shape.names[level] if word and word != "unlabelled" else ():
                splits[other_words(name)].add(word or "")
        if len(set().union(*splits.values())) < 2:
            _check_joined([shape for shape in shapes if len(shape.marks) > level], level, where)
            continue
        paired = any(len(found) > 1 for found in splits.values())
        inside = sum(shape.images for shape in worded)
        if paired and inside == images:
            return level
        if paired or 2 * inside >= images:
            names = sorted(path for shape in worded for path in shape.paths(level + 1))
            before = "*/" * level
            raise DataError(
                f"{where}: {', '.join(names[:4])} may be splits by a word of their names: expected "
                f"data.first_folders={before}split/class if they are (what lies outside them is "
                f"left out), or data.first_folders=classes if each first folder is a class"
            )
    return None


def _check_joined(shapes: Sequence[Shape], level: int, where: str) -> None:
    names = joined_splits({name for shape in shapes for name in shape.names[level]})
    if names:
        raise DataError(
            f"{where}: {', '.join(names)} may be splits by the ends of their names: expected names "
            f"such as pets_train and pets_test if they are, or data.first_folders=classes if each "
            f"first folder is a class"
        )


def as_splits(shapes: Sequence[Shape]) -> list[Shape]:
    """The shapes with the splits that words of their folders' names mean."""
    return [
        replace(shape, marks=tuple(replace(mark, split=mark.word) for mark in shape.marks))
        for shape in shapes
    ]
