"""Zip members, read one by one: `zipfile` holds them all in memory, and lists to read.

The format is PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory),
4.3.14 and 4.3.15 (its end in large archives), 4.3.16 (its end) and 4.5.3 (large members).
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

_END = struct.Struct("<4s4H2LH")
_LARGE_LOCATOR = struct.Struct("<4sLQL")
_LARGE_END = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s22x2H")
_EXTRA = struct.Struct("<2H")
_LONGEST_COMMENT = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF
_LARGE_EXTRA = 1
_UTF8 = 0x800
# Encrypted, patched, or strongly encrypted.
_UNREADABLE_FLAGS = 0x1 | 0x20 | 0x40


@dataclass(frozen=True)
class ZipMember:
    """A member of a .zip, from its central directory; sizes and offset in bytes of the file."""

    name: str
    offset: int
    compressed: int
    size: int
    crc: int
    method: int
    flags: int

    @property
    def location(self) -> bytes:
        """What `read_member` needs."""
        numbers = (self.offset, self.compressed, self.size, self.crc, self.method, self.flags)
        return " ".join(map(str, numbers)).encode()


def is_zip(file: IO[bytes]) -> bool:
    """Whether a file ends as a .zip does."""
    return _find_end(file) is not None


def members(file: IO[bytes]) -> Iterator[ZipMember]:
    """The members of a .zip in the order of its central directory, folders left out.

    Raises:
        zipfile.BadZipFile: it is none, or its central directory is damaged.

    """
    end = _find_end(file)
    if end is None:
        raise zipfile.BadZipFile("no end of a central directory")
    length, start, shift = end
    position = start + shift
    stop = position + length
    while position < stop:
        # The caller may read members in between.
        file.seek(position)
        fields = _unpack(_ENTRY, file.read(_ENTRY.size), b"PK\x01\x02", position)
        flags, method, crc = fields[5], fields[6], fields[9]
        lengths = fields[12:15]
        rest = file.read(sum(lengths))
        name = rest[: lengths[0]].decode("utf-8" if flags & _UTF8 else "cp437", "backslashreplace")
        if "/" not in name:
            # Some writers on Windows separate folders so, against 4.4.17.
            name = name.replace("\\", "/")
        sizes = [fields[11], fields[10], fields[18]]
        _fill_large(sizes, rest[lengths[0] : lengths[0] + lengths[1]], position)
        if not name.endswith("/"):
            size, compressed, offset = sizes
            yield ZipMember(name, offset + shift, compressed, size, crc, method, flags)
        position += _ENTRY.size + sum(lengths)


def size_at(location: bytes) -> int:
    """How many bytes the member at a `ZipMember.location` says it has."""
    return int(location.split()[2])


def read_member(file: IO[bytes], location: bytes, most: int = -1) -> bytes:
    """The content of the member at a `ZipMember.location`, or its first bytes.

    Raises:
        zipfile.BadZipFile: it is damaged.
        RuntimeError: it is encrypted, or compressed by a method that is not known.

    """
    offset, compressed, size, crc, method, flags = map(int, location.split())
    if flags & _UNREADABLE_FLAGS:
        raise RuntimeError("the member is encrypted")
    file.seek(offset)
    _, name, extra = _unpack(_LOCAL, file.read(_LOCAL.size), b"PK\x03\x04", offset)
    file.seek(offset + _LOCAL.size + name + extra)
    info = zipfile.ZipInfo(f"the member at byte {offset}")
    info.compress_type, info.compress_size = method, compressed
    info.file_size, info.CRC = size, crc
    with zipfile.ZipExtFile(file, "r", info) as member:
        # Without a number it would be decompressed whole, however small it says it is.
        return member.read(size if most < 0 else most)


def _find_end(file: IO[bytes]) -> tuple[int, int, int] | None:
    """The central directory's size and start, and how far the archive lies from where it thinks."""
    length = file.seek(0, 2)
    tail_start = max(0, length - _END.size - _LONGEST_COMMENT)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        # What looks like the record may be a part of the comment behind it.
        if len(tail) - at >= _END.size:
            *_, size, start, comment = _END.unpack_from(tail, at)
            end = tail_start + at
            found = _find_large_end(file, end)
            if found is not None:
                end, size, start = found
            if comment <= len(tail) - at - _END.size and size + start <= end:
                return size, start, end - size - start
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


def _find_large_end(file: IO[bytes], end: int) -> tuple[int, int, int] | None:
    """Where the end record of a large archive begins, and the directory's size and start in it."""
    at = end - _LARGE_LOCATOR.size - _LARGE_END.size
    if at < 0:
        return None
    file.seek(at)
    record, locator = file.read(_LARGE_END.size), file.read(_LARGE_LOCATOR.size)
    if locator[:4] != b"PK\x06\x07" or record[:4] != b"PK\x06\x06":
        return None
    size, start = _LARGE_END.unpack(record)[8:10]
    return at, size, start


def _fill_large(sizes: list[int], extra: bytes, position: int) -> None:
    """Replace the numbers that did not fit by those of the extra field, which has these alone."""
    missing = [i for i, number in enumerate(sizes) if number == _IN_EXTRA]
    at = 0
    while missing and at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == _LARGE_EXTRA and length >= 8 * len(missing) and at + length <= len(extra):
            values = struct.unpack_from(f"<{len(missing)}Q", extra, at)
            for i, value in zip(missing, values, strict=True):
                sizes[i] = value
            return
        at += length
    if missing:
        raise zipfile.BadZipFile(f"the entry at byte {position} lacks its size")


def _unpack(layout: struct.Struct, content: bytes, signature: bytes, at: int) -> tuple[int, ...]:
    if len(content) < layout.size or content[:4] != signature:
        raise zipfile.BadZipFile(f"expected {signature!r} at byte {at}, found {content[:4]!r}")
    return layout.unpack(content)
