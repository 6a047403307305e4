"""Split paths: folders and archives whose own names say a split, as `train.zip` and `pets_test` do.

Where the paths of one source differ in what split they say, images of a test would be trained on if
these names were passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from twofold.components.data.sources.folders.near_names import (
    joined_splits,
    split_in_words,
    split_surely_named,
)
from twofold.components.errors import DataError

_KIND = re.compile(r"(?:\.(?:zip|tar|tgz|tbz2?|txz|gz|bz2|xz))+$", re.IGNORECASE)
# What holds images that are measured on rather than trained on.
_HELD_OUT = ("validation", "test")


def split_folders(paths: Sequence[str]) -> tuple[str, ...] | None:
    """Of each path, the folder of a split that stands for it; None where they say no splits.

    A path's last name comes before the folders that it does not share with the others
    (`train/a` beside `test/b`). It stands for itself where it means a split as it is
    (`test_set`), and `train`, `validation`, `test` or `unlabelled` for it where a word does.

    Args:
        paths: of folders or archives.

    Raises:
        DataError: some of the paths say splits, and others none.

    """
    if len(paths) < 2:
        return None
    stems = tuple(PurePosixPath(path).name.partition(".")[0] for path in paths)
    if all(map(split_surely_named, stems)):
        return stems
    parts = _unshared([_KIND.sub("", path.rstrip("/")).split("/") for path in paths])
    names = [_told(each, split_surely_named) or _told(each, split_in_words) for each in parts]
    told = [split for split in (split_in_words(name or "") for name in names) if split]
    splits = set(told) - {"unlabelled"}
    held_out = any(split_surely_named(stem) in _HELD_OUT for stem in stems)
    joined = joined_splits(each[-1] for each in parts)
    if len(splits) < 2 and joined:
        raise DataError(
            f"{', '.join(paths)}: {', '.join(joined)} may be splits by the ends of their names: "
            f"expected names such as pets_train and pets_test if they are, or "
            f"data.first_folders=classes if they are not"
        )
    if len(splits) < 2 and not (held_out and len(told) < len(paths)):
        return None
    if len(told) == len(paths):
        return tuple(told)
    named = [path for path, name in zip(paths, names, strict=True) if name]
    others = [path for path, name in zip(paths, names, strict=True) if not name]
    raise DataError(
        f"{', '.join(named)} would be splits by their names and {', '.join(others)} would not: "
        f"expected all paths to be named so, as in train.zip and test.zip, or "
        f"data.first_folders=classes if none of these is a split"
    )


def _unshared(paths: Sequence[list[str]]) -> list[list[str]]:
    """The names of each path below the folder that all of them lie in."""
    shared = 0
    while all(len(path) > shared + 1 for path in paths):
        if len({path[shared] for path in paths}) > 1:
            break
        shared += 1
    return [path[shared:] for path in paths]


def _told(names: Sequence[str], tell: Callable[[str], str | None]) -> str | None:
    """The last of the names that says a split."""
    return next(filter(tell, reversed(names)), None)
