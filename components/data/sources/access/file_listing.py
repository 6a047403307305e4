"""File listing of a folder or a bucket: names, what tells contents apart, and bytes."""

# ruff: noqa: PTH114, PTH115, PTH116, PTH118, PTH123 - making a Path takes longer than looking up the file.

from __future__ import annotations

import errno
import functools
import itertools
import os
import stat
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from twofold.components import files
from twofold.components.data.rules.file_kinds import HEAD_BYTES, is_large, why_too_large

# Up to so many entries of a folder are sorted as Python objects.
_FEW_ENTRIES = 10_000
# What tells one content from another, of what file systems report, the best first.
_CONTENT_MARKS = (
    *("md5Hash", "crc32c", "ETag", "etag", "generation"),
    *("mtime", "updated", "LastModified", "last_modified", "created"),
)


# How the stamp begins of what cannot be read as a file.
_PROBLEM = "! "


class ChangedError(OSError):
    """A file is not the one that was listed."""


def file_stamp(path: str) -> str:
    """Text that changes with a file's content: its size with a time or a checksum.

    Raises:
        OSError: there is no such file.

    """
    if not files.is_remote(path):
        return _local_stamp(os.stat(path))
    reached, name = files.file_system(path)
    return _remote_stamp(reached.info(name))


def file_stamps(paths: Sequence[str]) -> list[str | None]:
    """Each file's stamp; None where there is no such file."""
    return list(_each(_stamp_or_none, paths))


def walk(root: str) -> Iterator[tuple[str, str]]:
    """Every file below a folder: its path in it, and its stamp.

    What cannot be read as a file, such as a link to nothing, has a stamp that `is_problem`.

    A folder's entries come sorted, those of a folder within it in its place. Symbolic links are
    followed, each folder once.

    Raises:
        OSError: a folder cannot be listed.

    """
    if not files.is_remote(root):
        return _walk_local(os.fsencode(root), "", set())
    return _walk_remote(*files.file_system(root))


def is_problem(stamp: str) -> bool:
    """Whether a stamp tells why there is no file to be read."""
    return stamp.startswith(_PROBLEM)


def is_empty(stamp: str) -> bool:
    """Whether a stamp is of a file without bytes, of which a bucket refuses to give the first."""
    return stamp.startswith("0 ")


def read_files(paths: Sequence[str], stamps: Sequence[str]) -> Iterator[bytes | Exception]:
    """The bytes of each file in order, or why it cannot be read.

    A local file that has not the stamp given has changed, which is a reason; in a bucket this would
    cost a request more for each, and is not looked at.
    """
    yield from _each(_read_if_unchanged, list(zip(paths, stamps, strict=True)))


def read_heads(paths: Sequence[str], size: int) -> list[bytes]:
    """The first bytes of each file; b"" of one that cannot be read."""
    return list(_each(functools.partial(_head_or_nothing, size), paths))


def _each(function: Any, arguments: Sequence[Any]) -> Iterator[Any]:
    """The function of every path, or of every tuple that begins with one; in order."""
    firsts = (each if isinstance(each, str) else each[0] for each in arguments)
    if not any(map(files.is_remote, firsts)):
        yield from map(function, arguments)
        return
    with ThreadPoolExecutor(files.REQUESTS) as pool:
        waiting: deque[Future[Any]] = deque()
        for argument in arguments:
            waiting.append(pool.submit(function, argument))
            if len(waiting) > 2 * files.REQUESTS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _stamp_or_none(path: str) -> str | None:
    try:
        return file_stamp(path)
    except OSError:
        return None


def _head_or_nothing(size: int, path: str) -> bytes:
    try:
        if files.is_remote(path):
            return files.read_range(path, 0, size)
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _read_if_unchanged(asked: tuple[str, str]) -> bytes | Exception:
    path, stamp = asked
    if is_problem(stamp):
        return OSError(stamp.removeprefix(_PROBLEM))
    try:
        if files.is_remote(path):
            reached, name = files.file_system(path)
            size = stamp.partition(" ")[0]
            if size.isdecimal() and is_large(int(size)):
                wrong = why_too_large(int(size), files.read_range(path, 0, HEAD_BYTES))
                if wrong is not None:
                    return OSError(wrong)
            content: bytes = reached.cat_file(name)
            return content
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if _local_stamp(status) != stamp:
                return ChangedError("the file has changed since it was listed")
            if is_large(status.st_size):
                wrong = why_too_large(status.st_size, file.read(HEAD_BYTES))
                if wrong is not None:
                    return OSError(wrong)
                file.seek(0)
            return file.read()
    except OSError as error:
        return error


def _local_stamp(status: os.stat_result) -> str:
    return f"{status.st_size} {status.st_mtime_ns}"


def _remote_stamp(info: Mapping[str, Any]) -> str:
    mark = next((info[name] for name in _CONTENT_MARKS if info.get(name)), "")
    return f"{info['size']} {mark}"


def _walk_local(
    folder: bytes, prefix: str, seen: set[tuple[int, int]]
) -> Iterator[tuple[str, str]]:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for name, is_folder in _sorted_entries(folder):
        path, below = os.path.join(folder, name), prefix + os.fsdecode(name)
        if is_folder:
            yield from _walk_local(path, f"{below}/", seen)
        else:
            yield below, _stamp_or_problem(path)


def _sorted_entries(folder: bytes) -> Iterator[tuple[bytes, bool]]:
    """The names in a folder, and whether each is a folder itself."""
    parts: list[pa.RecordBatch] = []
    with os.scandir(folder) as entries:
        found = ((entry.name, _is_folder(entry)) for entry in entries)
        while some := list(itertools.islice(found, _FEW_ENTRIES)):
            if not parts and len(some) < _FEW_ENTRIES:
                yield from sorted(some)
                return
            names, kinds = zip(*some, strict=True)
            columns = [pa.array(names, pa.binary()), pa.array(kinds, pa.bool_())]
            parts.append(pa.record_batch(columns, names=["name", "is_folder"]))
    if parts:
        for batch in pa.Table.from_batches(parts).sort_by("name").to_batches(_FEW_ENTRIES):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads back to itself, or where nobody may look.
        return False


def _stamp_or_problem(path: bytes) -> str:
    """A file's stamp; of what cannot be read as one, why."""
    try:
        status = os.stat(path)
    except OSError as error:
        if not os.path.islink(path):
            return f"{_PROBLEM}{error.strerror}"
        target = os.fsdecode(os.readlink(path)).encode("utf-8", "surrogateescape")
        shown = target.decode("utf-8", "backslashreplace")
        known = {
            errno.ENOENT: "which is not there",
            errno.ELOOP: "which leads back to it",
        }
        why = known.get(error.errno or 0, str(error.strerror))
        return f"{_PROBLEM}it is a link to {shown}, {why}"
    if not stat.S_ISREG(status.st_mode):
        # To open a pipe would wait for its other end.
        return f"{_PROBLEM}it is neither a file nor a folder"
    return _local_stamp(status)


def _walk_remote(reached: Any, root: str) -> Iterator[tuple[str, str]]:
    def visit(folder: str) -> Iterator[tuple[str, str]]:
        for entry in sorted(reached.ls(folder, detail=True), key=lambda entry: entry["name"]):
            name = entry["name"].rstrip("/")
            # An object may stand for the folder itself.
            if name == folder or (entry["name"].endswith("/") and entry["type"] == "file"):
                continue
            if entry["type"] == "directory":
                yield from visit(name)
            else:
                yield name[len(root) :].lstrip("/"), _remote_stamp(entry)

    return visit(root.rstrip("/"))
