"""File access on a local disk or in a bucket, and atomic, flushed writes of files and directories.

A path with a scheme (``gs://bucket/folder``, ``memory://...``) is reached through fsspec, any other
one is local. Whatever is written appears under its name whole or not at all: it is written under a
temporary name beside its target, flushed to the disk together with the directory that names it, and
renamed. After a failure nothing is left of it, and what was there before is untouched. An object in
a bucket appears whole by itself.

| to write | call |
| --- | --- |
| bytes, text, JSON | ``write_bytes``, ``write_text``, ``write_json`` |
| a stream | ``new_file`` |
| what a library writes to a path that it is given | ``new_file_path`` |
| a line at the end of a log | ``append_line`` |
| a directory | ``new_directory`` |
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import posixpath
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import google_crc32c

from twofold.components.errors import DataError
from twofold.components.write_errors import naming_file

# A request to a bucket takes tens of milliseconds, so that several are on their way at a time.
REQUESTS = 16
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_GOOGLE = ("gs", "gcs")
_READ_AHEAD = 4 << 20
_COPIED_AT_ONCE = 1 << 20
# What `_temporary_name` gives.
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{32}\.tmp")


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


def file_system(path: Path | str) -> tuple[Any, str]:
    """The fsspec file system that holds a path, and the path's name there.

    Raises:
        DataError: there is no such scheme, or a package for it is missing.

    """
    import fsspec

    if not is_remote(path):
        return fsspec.filesystem("file"), str(path)
    try:
        # Kept listings would hide what other processes write.
        system, name = fsspec.core.url_to_fs(str(path), use_listings_cache=False)
    except ImportError as error:
        known = str(path).partition("://")[0] in _GOOGLE
        how = "; install it with: pip install 'twofold[gcp]'" if known else ""
        raise DataError(f"{path}: {error}{how}") from error
    except ValueError as error:
        raise DataError(f"{path}: {error}") from error
    return system, str(name)


def open_input(path: Path | str) -> IO[bytes]:
    """Open a file to read from, seekable.

    Raises:
        OSError: there is none, or it cannot be read.

    """
    if not is_remote(path):
        return Path(path).open("rb")
    system, name = file_system(path)
    # By default some file systems ask for every few bytes that are read, one request each.
    opened: IO[bytes] = system.open(name, "rb", block_size=_READ_AHEAD, cache_type="readahead")
    return opened


def read_bytes(path: Path | str) -> bytes:
    """Read the whole of a file.

    Raises:
        OSError: there is none, or it cannot be read.

    """
    system, name = file_system(path)
    content: bytes = system.cat_file(name)
    return content


def read_range(path: Path | str, start: int, stop: int) -> bytes:
    """Read a file's bytes from `start` up to, not including, `stop`; of a bucket by one request.

    Raises:
        OSError: there is no such file, or it cannot be read.

    """
    system, name = file_system(path)
    content: bytes = system.cat_file(name, start=start, end=stop)
    return content


def read_ranges(ranges: Sequence[tuple[str, int, int]]) -> list[bytes]:
    """Read ranges of files, each as ``read_range`` does; of buckets several at a time.

    Args:
        ranges: paths, where to start, and where to stop.

    Raises:
        OSError: as ``read_range``.

    """
    if not any(is_remote(path) for path, _, _ in ranges):
        # Nothing that would be worth handing over to a thread.
        return [read_range(*each) for each in ranges]
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(lambda each: read_range(*each), ranges))


def crc32c(path: Path) -> int:
    """Give the CRC-32C of a local file's content.

    Raises:
        OSError: there is no such file, or it cannot be read.

    """
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_READ_AHEAD):
            checksum = google_crc32c.extend(checksum, block)
    return checksum


def exists(path: Path | str) -> bool:
    """Whether there is a file or a directory of this name."""
    system, name = file_system(path)
    return bool(system.exists(name))


def size(path: Path | str) -> int | None:
    """A file's bytes, None where there is no such file."""
    system, name = file_system(path)
    try:
        found = system.info(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return None if found["type"] == "directory" else int(found["size"])


def names(directory: Path | str) -> list[str]:
    """What lies directly in a directory, sorted; nothing where there is no such directory."""
    system, name = file_system(directory)
    try:
        listed = system.ls(name, detail=False)
    except FileNotFoundError:
        return []
    return sorted({posixpath.basename(str(each).rstrip("/")) for each in listed})


@contextmanager
def new_file(path: Path | str) -> Iterator[IO[bytes]]:
    """A file to write; it appears under its name, whole, where the block ends without an exception.

    Writers of the same name do not disturb each other; the last one to end stays.
    """
    if is_remote(path):
        system, name = file_system(path)
        # Closing a remote file publishes what was written of it, after an exception, too.
        with tempfile.NamedTemporaryFile() as local:
            yield local
            local.flush()
            system.put_file(local.name, name)
        return
    target = Path(path)
    temporary = _temporary_name(target)
    try:
        with naming_file(target, temporary), temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with naming_file(target):
            _publish(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_file_path(target: Path) -> Iterator[Path]:
    """A path to write a local file to; it gets its name where the block ends without an exception.

    For libraries that open a file themselves, in one process at a time: what a killed one left of
    the same file, which may be large, is removed.

    Args:
        target: the file; its directory exists.

    """
    for left in target.parent.glob(f".{_literal(target.name)}.*.tmp"):
        left.unlink(missing_ok=True)
    temporary = _temporary_name(target)
    try:
        with naming_file(target, temporary):
            yield temporary
            move_file(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def move_file(source: Path, target: Path) -> None:
    """Flush a local file to disk and give it its final name, on the same disk."""
    with naming_file(target):
        _flush(source)
        _publish(source, target)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file whole or not at all."""
    with new_file(path) as file:
        file.write(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(
    path: Path | str, content: Any, *, default: Callable[[Any], Any] | None = None
) -> None:
    """Write a JSON file, indented and with sorted keys, whole or not at all.

    Args:
        path: the file.
        content: what JSON holds.
        default: turns what it does not hold into what it does.

    """
    write_text(path, json_text(content, default=default))


def json_text(content: Any, *, default: Callable[[Any], Any] | None = None) -> str:
    """Give what `write_json` writes."""
    return json.dumps(content, indent=2, sort_keys=True, default=default) + "\n"


def append_line(path: Path, line: str, *, flush: bool = True) -> None:
    """Append a line to a local text file.

    Args:
        path: the file.
        line: without its end.
        flush: whether to return only when it is on the disk.

    """
    with naming_file(path), path.open("a+b") as file:
        length = file.seek(0, os.SEEK_END)
        if length:
            file.seek(length - 1)
            # What a crash cut short stays a line of its own.
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())
        if flush:
            file.flush()
            os.fsync(file.fileno())
    if flush:
        _flush(path.parent)


def flush(path: Path) -> None:
    """Return when what was written to a local file is on the disk."""
    with naming_file(path):
        _flush(path)
        _flush(path.parent)


def remove_temporary(directory: Path | str) -> None:
    """Remove what writers that were killed left in a local directory under temporary names.

    No process may be writing files there.
    """
    if is_remote(directory) or not Path(directory).is_dir():
        return
    for path in Path(directory).iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Give a file another name, too: as a hard link where the disk can, else as a copy."""
    if is_remote(target) and is_remote(source):
        system, name = file_system(target)
        system.cp_file(file_system(source)[1], name)
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
        shutil.copyfileobj(reading, writing, _COPIED_AT_ONCE)


def make_directory(path: Path | str) -> None:
    """Make a directory and those above it; in a bucket there is nothing to make."""
    system, name = file_system(path)
    system.makedirs(name, exist_ok=True)


def remove_tree(path: Path | str) -> None:
    """Remove a file, or a directory with all that is in it, if there is one."""
    if not is_remote(path):
        if Path(path).is_file():
            Path(path).unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)
        return
    system, name = file_system(path)
    if not system.exists(name):
        return
    # Another process may do the same.
    with contextlib.suppress(FileNotFoundError):
        if set(name).isdisjoint("*?["):
            system.rm(name, recursive=True)
        else:
            # It would be taken for a pattern.
            for file in system.find(name):
                system.rm_file(file)


@contextmanager
def new_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """A directory beside `target`, moved there when the block ends without an exception.

    `target` is complete or as it was before: the files are flushed to disk before the move, and an
    exception removes what was written. What a killed process left is removed by the next one that
    writes the same target; a lock, which ends with its process, tells the two apart.

    Args:
        target: local; directories above it are made.
        replace: whether it takes the place of what is there. A kill between the two renames that
            this takes leaves the old directory aside, from where `restore_directory` fetches it.

    Raises:
        FileExistsError: `target` is a directory with something in it by the time of the move, and
            is not to be replaced.

    """
    prefix = f".tmp-{target.name}-"
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(target.parent, prefix)
    staging = target.parent / f"{prefix}{uuid.uuid4().hex}"
    staging.mkdir()
    lock = os.open(staging, os.O_RDONLY)
    try:
        # Some network disks lock no directories; nobody takes what is abandoned there, either.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        with naming_file(target):
            yield staging
        move_directory(staging, target, replace=replace)
    finally:
        os.close(lock)
        shutil.rmtree(staging, ignore_errors=True)


def move_directory(source: Path, target: Path, *, replace: bool = False) -> None:
    """Flush a local directory to disk and give it its final name; see `new_directory`."""
    with naming_file(target):
        for path in [*source.rglob("*"), source]:
            if path.is_file() or path.is_dir():
                _flush(path)
    old = _aside(target)
    if replace:
        restore_directory(target)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
    try:
        _publish(source, target)
    except OSError as error:
        if replace:
            restore_directory(target)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise FileExistsError(f"{target} exists and is not empty") from error
    if replace:
        shutil.rmtree(old, ignore_errors=True)


def restore_directory(target: Path) -> None:
    """Put a directory back that a kill in the middle of its replacement left aside."""
    if _aside(target).exists() and not target.exists():
        _aside(target).rename(target)


def remove_abandoned(parent: Path, prefix: str, but: str | None = None) -> None:
    """Remove the directories in `parent` whose names begin so and which no process has locked."""
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


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _literal(name: str) -> str:
    """The name as a pattern that matches it alone."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _publish(temporary: Path, target: Path) -> None:
    os.replace(temporary, target)  # noqa: PTH105
    _flush(target.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network disks flush no directories.
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
