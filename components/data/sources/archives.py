"""Files inside a folder, a .zip or a .tar, listed and read in place."""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components.data.errors import DataError

# What reading one damaged, encrypted or vanished member raises.
UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tarfile.TarError,
)


@dataclass(frozen=True)
class Member:
    """One file: its path inside the container, a line that changes with its content, its handle."""

    name: str
    identity: str
    handle: Any


class Container(Protocol):
    """A folder or an archive.

    `sequential` says that reading a member means decompressing all before it, so that members
    should be read in the order listed.
    """

    sequential: bool

    def members(self) -> list[Member]:
        """Every file, in the order that is cheapest to read."""

    def read(self, member: Member) -> bytes:
        """A member's bytes; raises one of `UNREADABLE`."""


def open_container(path: Path) -> Container:
    """The folder or archive at this path.

    Raises:
        DataError: there is none, or it is neither a folder nor a readable archive.

    """
    if path.is_dir():
        return _Folder(path)
    if not path.exists():
        raise DataError(f"no such file or folder: {path}")
    try:
        if zipfile.is_zipfile(path):
            return _Zip(path)
        return _Tar(path)
    except UNREADABLE as error:
        raise DataError(
            f"{path}: expected a folder of images, a .zip or a .tar (also .tar.gz), and this is "
            f"none or is damaged"
        ) from error


def _plain_name(name: str) -> str:
    """The path without `./`, as text that can be encoded even where the file name cannot."""
    encoded = posixpath.normpath(name).encode("utf-8", "surrogateescape")
    return encoded.decode("utf-8", "backslashreplace")


class _Folder:
    """A directory; symbolic links are followed, each directory once."""

    sequential = False

    def __init__(self, path: Path):
        self._path = path

    def members(self) -> list[Member]:
        found = []
        for entry in self._walk(self._path, set()):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode):
                name = _plain_name(Path(entry.path).relative_to(self._path).as_posix())
                identity = f"{name} {status.st_size} {status.st_mtime_ns}"
                found.append(Member(name, identity, entry.path))
        return sorted(found, key=lambda member: member.name)

    def _walk(self, folder: Path, seen: set[tuple[int, int]]) -> Iterator[os.DirEntry[str]]:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            if entry.is_dir():
                yield from self._walk(Path(entry.path), seen)
            elif entry.is_file():
                yield entry

    def read(self, member: Member) -> bytes:
        return Path(member.handle).read_bytes()


class _Zip:
    """A .zip; its reader locks itself."""

    sequential = False

    def __init__(self, path: Path):
        self._archive = zipfile.ZipFile(path)
        weakref.finalize(self, self._archive.close)

    def members(self) -> list[Member]:
        infos = [info for info in self._archive.infolist() if not info.is_dir()]
        members = []
        for info in sorted(infos, key=lambda info: info.filename):
            name = _plain_name(info.filename)
            members.append(Member(name, f"{name} {info.CRC} {info.file_size}", info))
        return members

    def read(self, member: Member) -> bytes:
        return self._archive.read(member.handle)


class _Tar:
    """A .tar, compressed or not; one reader at a time."""

    def __init__(self, path: Path):
        self._file = path.open("rb")
        weakref.finalize(self, self._file.close)
        self._archive = tarfile.open(fileobj=self._file, mode="r:*")  # noqa: SIM115 - it stays open as long as this object
        self._members = [member for member in self._archive.getmembers() if member.isreg()]
        self._lock = threading.Lock()
        # Only a plain .tar is read through the file that was opened; others are decompressed.
        self.sequential = self._archive.fileobj is not self._file

    def members(self) -> list[Member]:
        members = []
        for member in self._members:
            name = _plain_name(member.name)
            members.append(Member(name, f"{name} {member.size} {member.mtime}", member))
        return members

    def read(self, member: Member) -> bytes:
        with self._lock:
            opened = self._archive.extractfile(member.handle)
            if opened is None:
                raise OSError(f"{member.name} is no regular file")
            with opened:
                return opened.read()
