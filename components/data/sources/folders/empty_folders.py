"""Empty folders of a directory, which a listing of its files passes over."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from twofold.components import files

# So many folders are looked into.
_MOST = 10_000


def empty_folders(path: str, levels: int) -> Iterator[str]:
    """Paths in a local directory of the folders that hold nothing but hidden files.

    Args:
        path: of the directory; in a bucket are no empty folders.
        levels: of folders that are looked into, at most 10,000 folders of all of them.

    """
    if not files.is_remote(path):
        for folder, is_empty in itertools.islice(_folders(Path(path), levels), _MOST):
            if is_empty:
                name = folder.relative_to(path).as_posix()
                yield name.encode("utf-8", "backslashreplace").decode()


def _folders(path: Path, levels: int) -> Iterator[tuple[Path, bool]]:
    """Each folder in a folder, and whether it is empty."""
    for inner in filter(Path.is_dir, _visible(path)):
        yield inner, next(_visible(inner), None) is None
        if levels > 1:
            yield from _folders(inner, levels - 1)


def _visible(folder: Path) -> Iterator[Path]:
    """What in a folder is not hidden."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name != "__MACOSX":
                yield folder / entry.name
