"""What the folders in an image's path say: its split and its class."""

from __future__ import annotations

from collections.abc import Sequence

SPLIT_FOLDERS = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
}


def split_and_class(keys: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """The split and the class name of each key, None where its path names none.

    Where the first folder of every key is one of train, val, validation, test, unlabelled and
    unlabeled, it is the split and the next folder is the class; otherwise the first folder is the
    class. Keys are paths with forward slashes. Unlabelled images have no class.
    """
    folders = [key.split("/")[:-1] for key in keys]
    by_split = all(path and path[0] in SPLIT_FOLDERS for path in folders)
    found: list[tuple[str | None, str | None]] = []
    for path in folders:
        split = SPLIT_FOLDERS[path[0]] if by_split else None
        classes = path[1:] if by_split else path
        labelled = classes and split != "unlabelled"
        found.append((split, classes[0] if labelled else None))
    return found
