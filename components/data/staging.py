"""Folders that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged_directory(target: Path) -> Iterator[Path]:
    """A new folder beside `target`, moved there when the block ends without an exception.

    Whatever happens, `target` is either complete or absent: the files are flushed to disk before
    the move, an exception removes the staging folder, and what a killed process left behind is
    removed by the next one that stages the same target (a lock, which ends with its process,
    tells the two apart).

    Raises:
        FileExistsError: `target` is a folder with something in it by the time of the move.

    """
    prefix = f".tmp-{target.name}-"
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target.parent, prefix)
    staging = target.parent / f"{prefix}{uuid.uuid4().hex}"
    staging.mkdir()
    lock = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield staging
        for path in staging.iterdir():
            _flush(path)
        _flush(staging)
        try:
            staging.replace(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            raise FileExistsError(f"{target} exists and is not empty") from error
        _flush(target.parent)
    finally:
        os.close(lock)
        shutil.rmtree(staging, ignore_errors=True)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for path in parent.iterdir():
        if not path.name.startswith(prefix):
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(descriptor)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
