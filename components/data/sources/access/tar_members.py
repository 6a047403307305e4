"""Tar members, one by one: of concatenated archives, too, and what links within them point to.

`tarfile` would keep every member in memory, end at the first of several archives in a file, and
take a damaged header for the end. The format is that of POSIX.1-2017, pax, "ustar interchange
format", with GNU's extensions.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any

_ZEROS_AT_A_TIME = 1 << 20
# A link that points to a link, and so on, ends here.
_LONGEST_CHAIN = 40


@dataclass(frozen=True)
class TarMember:
    """A file of a .tar; offset and size in bytes of the archive.

    Attributes:
        problem: why its content cannot be read from there; "" if it can.

    """

    name: str
    mtime: float
    offset: int
    size: int
    problem: str = ""


def members(file: IO[bytes]) -> Iterator[TarMember]:
    """The files of a .tar in their order, then those that links within it point to.

    Concatenated archives are read as one. A link to a folder stands for all files in it. One that
    points to nothing in the archive is a file with a problem. A link that a later file of its name
    replaces is left out.

    Raises:
        tarfile.TarError: there is damage.

    """
    links: dict[str, str] = {}
    for member in _every_member(file):
        if member.isreg():
            links.pop(_plain(member.name), None)
            yield _of(member)
        elif member.islnk():
            links[_plain(member.name)] = _plain(member.linkname)
        elif member.issym():
            folder = posixpath.dirname(_plain(member.name))
            links[_plain(member.name)] = _plain(posixpath.join(folder, member.linkname))
    if links:
        yield from _linked(file, links)


def _every_member(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    start: int | None = 0
    while start is not None:
        file.seek(start)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            remembered: list[Any] = archive.members  # type: ignore[attr-defined]
            while (member := archive.next()) is not None:
                # It would remember every member.
                remembered.clear()
                yield member
            # A damaged header looks to `tarfile` like the end, which is a block of zeros.
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"no end of the archive at byte {archive.offset}")
            start = _after_zeros(file, archive.offset)


def _after_zeros(file: IO[bytes], offset: int) -> int | None:
    """Where the first block begins that is not all zeros; None at the end of the file."""
    file.seek(offset)
    while content := file.read(_ZEROS_AT_A_TIME):
        zeros = len(content) - len(content.lstrip(b"\0"))
        if zeros < len(content):
            return offset + zeros - zeros % tarfile.BLOCKSIZE
        offset += len(content)
    return None


def _linked(file: IO[bytes], links: Mapping[str, str]) -> Iterator[TarMember]:
    """The files that links stand for, by a second pass over the archive."""
    wanted: dict[str, list[str]] = defaultdict(list)
    for name in links:
        wanted[_end(name, links)].append(name)
    files: dict[str, TarMember] = {}
    reached: set[str] = set()
    for member in _every_member(file):
        if not member.isreg():
            continue
        path = _plain(member.name)
        if path in wanted:
            files[path] = _of(member)
        folder = posixpath.dirname(path)
        while folder.strip("/"):
            for name in wanted.get(folder, ()):
                reached.add(name)
                yield replace(_of(member), name=name + path[len(folder) :])
            folder = posixpath.dirname(folder)
    for target, names in wanted.items():
        for name in sorted(set(names) - reached):
            nothing = TarMember(name, 0, 0, 0, f"it is a link to {target}, which is not there")
            yield replace(files.get(target, nothing), name=name)


def _end(name: str, links: Mapping[str, str]) -> str:
    """What a link points to at last, be it by way of links to folders."""
    for _ in range(_LONGEST_CHAIN):
        folder, rest = name, ""
        while folder and folder not in links:
            folder, _, last = folder.rpartition("/")
            rest = f"/{last}{rest}"
        if not folder:
            break
        name = links[folder] + rest
    return name


def _of(member: tarfile.TarInfo) -> TarMember:
    problem = "the member is a sparse file" if member.issparse() else ""
    return TarMember(member.name, member.mtime, member.offset_data, member.size, problem)


def _plain(name: str) -> str:
    return posixpath.normpath(name)
