"""Staging directories that survive a kill, and are found again by the same work."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twofold.components import files

_MARKER = "work"


@contextmanager
def resumable_directory(path: str, work: str, *, abandoned: str) -> Iterator[None]:
    """A directory to work in, found as it was left by a killed process that did the same work.

    It is removed where the block ends, with or without an exception, but for one that ends the
    process (an interrupt, or a kill). On a local disk one process at a time is in the block, others
    wait; in a bucket nothing keeps them apart, and what they write is the same.

    Args:
        path: the directory, local or with a scheme.
        work: names the work; a directory left by other work is emptied.
        abandoned: directories beside it whose names begin so are removed, unless a process is in
            them.

    """
    parent, _, name = path.rpartition("/")
    with contextlib.ExitStack() as stack:
        if not files.is_remote(path):
            Path(parent).mkdir(parents=True, exist_ok=True)
            files.remove_abandoned(Path(parent), abandoned, but=name)
            stack.callback(os.close, _lock(Path(path)))
        marker = files.join(path, _MARKER)
        if not files.exists(marker) or files.read_bytes(marker) != work.encode():
            for each in files.names(path):
                files.remove_tree(files.join(path, each))
            files.write_text(marker, work)
        try:
            yield
        except Exception:
            files.remove_tree(path)
            raise
        files.remove_tree(path)


def discard_abandoned(path: str) -> None:
    """Remove a working directory that a killed process left, unless a process is in it."""
    parent, _, name = path.rpartition("/")
    if files.is_remote(path):
        files.remove_tree(path)
    elif Path(parent).is_dir():
        files.remove_abandoned(Path(parent), name)


def _lock(path: Path) -> int:
    """Lock a directory that is made where it is missing, waiting for others; its descriptor."""
    while True:
        path.mkdir(exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Whoever had the lock may have removed the directory.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)
