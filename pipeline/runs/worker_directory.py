"""Directory of a worker that is not the chief: its own, and gone with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from twofold.components import files

FOLDER = ".workers"


@contextlib.contextmanager
def worker_directory(workdir: Path, name: str, index: int) -> Iterator[Path]:
    """Makes a directory in which a worker keeps what it needs of a run, until the run ends.

    What a run is left with is the chief's; so workers may share a disk with it or not. What killed
    workers left is removed.

    Args:
        workdir: where runs are kept.
        name: of the run.
        index: of the worker.

    """
    parent, prefix = workdir / FOLDER, f"{name}-{index}-"
    parent.mkdir(parents=True, exist_ok=True)
    files.remove_abandoned(parent, prefix)
    path = parent / f"{prefix}{uuid.uuid4().hex[:8]}"
    path.mkdir()
    lock = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(lock)
        files.remove_tree(path)
        # Others may be there, or nobody any more.
        with contextlib.suppress(OSError):
            parent.rmdir()
