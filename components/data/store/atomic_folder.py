"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twofold.components.data.store import storage

_IDENTITY = "identity"


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


def _remove_abandoned(parent: Path, prefix: str, but: str | None = None) -> None:
    for path in parent.iterdir():
        if not path.name.startswith(prefix) or path.name == but:
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


@contextmanager
def kept_directory(path: str, identity: str, *, abandoned: str) -> Iterator[None]:
    """A folder to work in, found as it was left by a killed process that did the same work.

    It is removed where the block ends, with or without an exception, but for one that ends the
    process (an interrupt, or a kill). On a local disk one process at a time is in the block, others
    wait; in a bucket nothing keeps them apart, and what they write is the same.

    Args:
        path: the folder, local or with a scheme.
        identity: what names the work; a folder left by other work is emptied.
        abandoned: folders beside it whose names begin so are removed, unless a process is in them.

    """
    parent, _, name = path.rpartition("/")
    with contextlib.ExitStack() as stack:
        if not storage.is_remote(path):
            Path(parent).mkdir(parents=True, exist_ok=True)
            _remove_abandoned(Path(parent), abandoned, but=name)
            stack.callback(os.close, _lock(Path(path)))
        marker = storage.join(path, _IDENTITY)
        if storage.exists(marker) and storage.read_bytes(marker) != identity.encode():
            for each in storage.names(path):
                storage.remove_tree(storage.join(path, each))
        if not storage.exists(marker):
            storage.write_bytes(marker, identity.encode())
        try:
            yield
        except Exception:
            storage.remove_tree(path)
            raise
        storage.remove_tree(path)


def discard_abandoned(path: str) -> None:
    """Remove a working folder that a killed process left, unless a process is in it."""
    parent, _, name = path.rpartition("/")
    if storage.is_remote(path):
        storage.remove_tree(path)
    elif Path(parent).is_dir():
        _remove_abandoned(Path(parent), name)


def _lock(path: Path) -> int:
    """Lock a folder that is made where it is not there, waiting for others; its descriptor."""
    while True:
        path.mkdir(exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Whoever had the lock may have removed the folder.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)
