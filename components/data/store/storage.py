"""Files on a local disk or in a bucket, by one set of calls.

A path with a scheme (`gs://bucket/folder`, `memory://...`) is reached through fsspec, any other one
is local. A bucket has no folders and no rename, but an object there appears whole or not at all,
which is what local files get here by a temporary name and a rename.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from twofold.components.errors import DataError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_READ_AHEAD = 4 << 20


def is_remote(path: Path | str) -> bool:
    """Whether a path has a scheme."""
    return _SCHEME.match(str(path)) is not None


def resolve(path: Path | str) -> str:
    """The path as every process should know it: absolute where it is local."""
    if is_remote(path):
        return str(path).rstrip("/")
    return str(Path(path).expanduser().absolute())


def join(path: Path | str, *names: str) -> str:
    """A path below another."""
    return posixpath.join(str(path), *names)


def open_input(path: Path | str) -> IO[bytes]:
    """A file to read from, seekable.

    Raises:
        OSError: there is none, or it cannot be read.

    """
    if not is_remote(path):
        return Path(path).open("rb")
    file_system, name = _remote(path)
    # By default some file systems ask for every few bytes that are read, one request each.
    opened: IO[bytes] = file_system.open(name, "rb", block_size=_READ_AHEAD, cache_type="readahead")
    return opened


def read_bytes(path: Path | str) -> bytes:
    """The whole of a file.

    Raises:
        OSError: there is none, or it cannot be read.

    """
    if not is_remote(path):
        return Path(path).read_bytes()
    file_system, name = _remote(path)
    content: bytes = file_system.cat_file(name)
    return content


def read_range(path: Path | str, start: int, stop: int) -> bytes:
    """A file's bytes from `start` up to, not including, `stop`; of a bucket by one request.

    Raises:
        OSError: there is no such file, or it cannot be read.

    """
    if is_remote(path):
        file_system, name = _remote(path)
        content: bytes = file_system.cat_file(name, start=start, end=stop)
        return content
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read(stop - start)


@contextmanager
def new_file(path: Path | str) -> Iterator[IO[bytes]]:
    """A file to write; it appears under its name, whole, where the block ends without an exception.

    Writers of the same name do not disturb each other; the last one to end stays.
    """
    if is_remote(path):
        file_system, name = _remote(path)
        # Closing a remote file publishes what was written of it, after an exception, too.
        with tempfile.NamedTemporaryFile() as local:
            yield local
            local.flush()
            file_system.put_file(local.name, name)
        return
    target = Path(path)
    staged = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    try:
        with staged.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file whole or not at all."""
    with new_file(path) as file:
        file.write(content)


def exists(path: Path | str) -> bool:
    """Whether there is a file or a folder of this name."""
    if not is_remote(path):
        return Path(path).exists()
    file_system, name = _remote(path)
    return bool(file_system.exists(name))


def size(path: Path | str) -> int | None:
    """A file's bytes, None where there is no such file."""
    if not is_remote(path):
        try:
            return Path(path).stat().st_size if Path(path).is_file() else None
        except FileNotFoundError:
            return None
    file_system, name = _remote(path)
    try:
        found = file_system.info(name)
    except FileNotFoundError:
        return None
    return int(found["size"]) if found["type"] == "file" else None


def names(directory: Path | str) -> list[str]:
    """What lies directly in a folder, sorted; nothing where there is no such folder."""
    if not is_remote(directory):
        try:
            return sorted(path.name for path in Path(directory).iterdir())
        except FileNotFoundError:
            return []
    file_system, name = _remote(directory)
    try:
        listed = file_system.ls(name, detail=False)
    except FileNotFoundError:
        return []
    return sorted({posixpath.basename(str(each).rstrip("/")) for each in listed})


def make_directory(path: Path | str) -> None:
    """A folder and those above it; in a bucket there is nothing to make."""
    if is_remote(path):
        file_system, name = _remote(path)
        file_system.makedirs(name, exist_ok=True)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)


def remove_tree(path: Path | str) -> None:
    """Remove a file, or a folder with all that is in it, if there is one."""
    if not is_remote(path):
        if Path(path).is_file():
            Path(path).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        return
    file_system, name = _remote(path)
    if not file_system.exists(name):
        return
    # Another process may do the same.
    with contextlib.suppress(FileNotFoundError):
        if set(name).isdisjoint("*?["):
            file_system.rm(name, recursive=True)
        else:
            # It would be taken for a pattern.
            for file in file_system.find(name):
                file_system.rm_file(file)


def place_copy(source: Path | str, target: Path | str) -> None:
    """Let a file stand under another name, too: as a hard link where the disk can, else copied."""
    if is_remote(target) and is_remote(source):
        file_system, name = _remote(target)
        file_system.cp_file(_remote(source)[1], name)
        return
    if not is_remote(target) and not is_remote(source):
        Path(target).unlink(missing_ok=True)
        try:
            os.link(source, target)
            return
        except OSError:
            # No links on this disk, or the two lie on different ones.
            pass
    with open_input(source) as reading, new_file(target) as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)


def _remote(path: Path | str) -> tuple[Any, str]:
    import fsspec

    try:
        # Kept listings would hide what other processes write.
        file_system, name = fsspec.core.url_to_fs(str(path), use_listings_cache=False)
    except ImportError as error:
        raise DataError(f"{path}: {error}; install it with: pip install 'twofold[gcp]'") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return file_system, str(name)
