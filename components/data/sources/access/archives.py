"""Archives and folders: the files in a folder, a .zip or a .tar, local or in a bucket."""

from __future__ import annotations

import itertools
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from twofold.components import files
from twofold.components.data.rules.file_kinds import HEAD_BYTES, is_large, why_too_large
from twofold.components.data.sources.access import decompression as unpack
from twofold.components.data.sources.access import tar_members as tars
from twofold.components.data.sources.access import zip_members as zips
from twofold.components.data.sources.access.file_listing import (
    file_stamp,
    is_empty,
    is_problem,
    read_files,
    read_heads,
    walk,
)
from twofold.components.data.sources.access.spooled_listing import Entry
from twofold.components.errors import DamagedArchiveError, DataError

# What reading one damaged, encrypted or vanished member raises.
UNREADABLE = (
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    tarfile.TarError,
)


# How the location of a member begins that cannot be read.
_PROBLEM = b"! "
# So many files of a folder are looked at at a time.
_AT_A_TIME = 256
# Of the name of a file, whether its first bytes have to be looked at.
Look = Callable[[str], bool]


class Member(NamedTuple):
    """One file of a container.

    Attributes:
        name: its path in there.
        content_id: text that changes with its content.
        location: what is needed to read it.
        head: its first bytes where they were looked at; b"" where they cannot be read.
        broken: whether it is a link to nothing, or no file for another reason.

    """

    name: str
    content_id: str
    location: bytes
    head: bytes = b""
    broken: bool = False


class FileContainer(Protocol):
    """A folder or an archive: a path and a few facts, so that it can be pickled."""

    @property
    def path(self) -> str:
        """Where it lies."""

    def members(self, look: Look) -> Iterator[Member]:
        """Every file; raises one of `UNREADABLE` where there is damage."""

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """See `spool.Container`."""


def open_container(path: str) -> FileContainer:
    """The folder or archive at this path.

    Raises:
        DataError: there is none.
        DamagedArchiveError: it is neither a folder nor a readable archive.

    """
    if not files.exists(path):
        raise DataError(f"no such file or folder: {path}")
    if _is_folder(path):
        return Folder(path)
    try:
        stamp = file_stamp(path)
        with files.open_input(path) as file:
            if zips.is_zip(file):
                return ZipArchive(path, stamp)
            compressed = unpack.is_compressed(file)
            content = unpack.open_decompressed(file) if compressed else file
            content.seek(0)
            tarfile.open(fileobj=content, mode="r:").close()
            return TarArchive(path, stamp, compressed)
    except UNREADABLE as error:
        raise DamagedArchiveError(
            f"{path}: expected a folder of images, a .zip or a .tar (also compressed by gzip, "
            f"bzip2 or xz), and this is none or is damaged"
        ) from error


def check_container(container: FileContainer) -> None:
    """Lists a folder or an archive to its end.

    Raises:
        DamagedArchiveError: there is damage.

    """
    try:
        for _ in container.members(lambda name: False):
            pass
    except UNREADABLE as error:
        raise DamagedArchiveError(
            f"{container.path}: cannot be listed, or is damaged ({error})"
        ) from error


@dataclass(frozen=True)
class Folder:
    """A directory, or a bucket's objects below a name."""

    path: str

    def members(self, look: Look) -> Iterator[Member]:
        """Every file, folder by folder."""
        found = walk(self.path)
        while some := list(itertools.islice(found, _AT_A_TIME)):
            seen = [
                look(name) and not (is_problem(stamp) or is_empty(stamp)) for name, stamp in some
            ]
            paths = [
                files.join(self.path, name)
                for (name, _), looked in zip(some, seen, strict=True)
                if looked
            ]
            heads = iter(read_heads(paths, HEAD_BYTES))
            for (name, stamp), looked in zip(some, seen, strict=True):
                plain = _plain_name(name)
                # Only what cannot be a key as it is needs a name beside the key.
                location = b"" if plain == name else os.fsencode(name)
                head = next(heads) if looked else b""
                yield Member(plain, stamp, location, head, is_problem(stamp))

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """Their bytes; of a file that has changed since it was listed, that it has."""
        names = [os.fsdecode(entry.location) or entry.item.key for entry in entries]
        paths = [files.join(self.path, name) for name in names]
        return read_files(paths, [entry.item.content_id for entry in entries])


@dataclass(frozen=True)
class ZipArchive:
    """A .zip; `stamp` is its file's."""

    path: str
    stamp: str

    def members(self, look: Look) -> Iterator[Member]:
        """Every file in the order of the central directory."""
        with _open_unchanged(self.path, self.stamp) as file:
            for member in zips.members(file):
                content_id = f"{member.size} {member.crc:08x}"
                name, head = _name_inside(member.name, self.path), b""
                if look(name):
                    with suppress(*UNREADABLE):
                        head = zips.read_member(file, member.location, HEAD_BYTES)
                yield Member(name, content_id, member.location, head)

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """Their bytes, each from where its own header is."""
        with _open_unchanged(self.path, self.stamp) as file:
            for entry in entries:
                yield _read_of_zip(file, entry.location)


@dataclass(frozen=True)
class TarArchive:
    """A .tar; `stamp` is its file's. A compressed one is read from an uncompressed copy."""

    path: str
    stamp: str
    compressed: bool

    def members(self, look: Look) -> Iterator[Member]:
        """Every file as `tar_members` has them."""
        with self._open() as file:
            for member in tars.members(file):
                # Writers often set no time, so that the archive's own has to tell.
                content_id = f"{member.size} {member.mtime} {self.stamp}"
                location = b"%d %d" % (member.offset, member.size)
                name, head = _name_inside(member.name, self.path), b""
                if member.problem:
                    location = _PROBLEM + member.problem.encode("utf-8", "backslashreplace")
                elif look(name):
                    file.seek(member.offset)
                    head = file.read(min(HEAD_BYTES, member.size))
                yield Member(name, content_id, location, head)

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """Their bytes, each from its location."""
        with self._open() as file:
            for entry in entries:
                if entry.location.startswith(_PROBLEM):
                    yield tarfile.ReadError(entry.location.removeprefix(_PROBLEM).decode())
                    continue
                offset, size = map(int, entry.location.split())
                if is_large(size):
                    file.seek(offset)
                    wrong = why_too_large(size, file.read(HEAD_BYTES))
                    if wrong is not None:
                        yield tarfile.ReadError(wrong)
                        continue
                file.seek(offset)
                content = file.read(size)
                yield content if len(content) == size else EOFError("the archive is cut short")

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        with _open_unchanged(self.path, self.stamp) as file:
            if not self.compressed:
                yield file
                return
        with unpack.open_unpacked(self.path, self.stamp) as file:
            yield file


@contextmanager
def _open_unchanged(path: str, stamp: str) -> Iterator[IO[bytes]]:
    try:
        file = files.open_input(path)
        found = file_stamp(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened any more ({error})") from error
    with file:
        if found != stamp:
            raise DataError(f"{path}: changed while it was being prepared")
        yield file


def _read_of_zip(file: IO[bytes], location: bytes) -> bytes | Exception:
    try:
        size = zips.size_at(location)
        if is_large(size):
            wrong = why_too_large(size, zips.read_member(file, location, HEAD_BYTES))
            if wrong is not None:
                return zipfile.BadZipFile(wrong)
        return zips.read_member(file, location)
    except UNREADABLE as error:
        return error


def _is_folder(path: str) -> bool:
    if not files.is_remote(path):
        return Path(path).is_dir()
    reached, name = files.file_system(path)
    return bool(reached.isdir(name))


def _name_inside(name: str, archive: str) -> str:
    """A member's path as `tar` and `unzip` unpack it, without the slash of an absolute one.

    Raises:
        DamagedArchiveError: it leads out of the archive.

    """
    plain = _plain_name(name).lstrip("/")
    if plain == ".." or plain.startswith("../"):
        raise DamagedArchiveError(
            f"{archive}: expected names of files inside the archive, received {plain!r}: pack it "
            f"anew from the folder that holds all its files"
        )
    return plain


def _plain_name(name: str) -> str:
    """The path without `./`, as text that can be encoded even where the file name cannot."""
    encoded = posixpath.normpath(name).encode("utf-8", "surrogateescape")
    return encoded.decode("utf-8", "backslashreplace")
