"""Random access to the records of TFRecord files, which keep no index of their own."""

from __future__ import annotations

import bisect
import itertools
import mmap
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import google_crc32c
import numpy as np

from components.data.errors import DataError

# A record is: uint64 length, masked CRC-32C of the length, the data, masked CRC-32C of the data.
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")


class Records(Protocol):
    """Serialised records by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> bytes: ...


class DamagedRecordError(Exception):
    """A record's data are not those that were written."""


class TfrecordFiles:
    """The records of several TFRecord files, by position over all of them.

    A file is scanned, header by header, when the first record of it is asked for.

    Args:
        paths: the files, in order, uncompressed.
        lengths: how many records each of them holds.
    """

    def __init__(self, paths: Sequence[Path], lengths: Sequence[int]):
        self._paths = tuple(paths)
        self._bounds = list(itertools.accumulate(lengths, initial=0))
        self._offsets: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return self._bounds[-1]

    def __getitem__(self, position: int) -> bytes:
        """The record's data.

        Raises:
            DamagedRecordError: the data do not match their checksum.
            DataError: the file holds another number of records than expected, or is damaged.
        """
        number = bisect.bisect_right(self._bounds, position) - 1
        if number not in self._offsets:
            self._offsets[number] = self._scan(number)
        offset = int(self._offsets[number][position - self._bounds[number]])
        with self._paths[number].open("rb") as file:
            file.seek(offset)
            length, _ = _HEADER.unpack(file.read(_HEADER.size))
            data = file.read(length)
            (checksum,) = _FOOTER.unpack(file.read(_FOOTER.size))
        if checksum != _masked_crc(data):
            raise DamagedRecordError(f"{self._paths[number].name}: wrong checksum at byte {offset}")
        return data

    def _scan(self, number: int) -> np.ndarray:
        path = self._paths[number]
        expected = self._bounds[number + 1] - self._bounds[number]
        found = record_offsets(path)
        if len(found) != expected:
            raise DataError(f"{path}: expected {expected} records, found {len(found)}")
        return found


def record_offsets(path: Path) -> np.ndarray:
    """Where the records of a TFRecord file begin, in bytes, int64 [N].

    Raises:
        DataError: the file ends within a record, or a record's length is damaged.
    """
    size = path.stat().st_size
    offsets = []
    # An empty file cannot be mapped.
    if size:
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bytes_,
        ):
            offset = 0
            while offset < size:
                offsets.append(offset)
                offset = _next(path, bytes_, offset, size)
    return np.array(offsets, np.int64)


def _next(path: Path, content: mmap.mmap, offset: int, size: int) -> int:
    data = offset + _HEADER.size
    if data > size:
        raise DataError(f"{path}: ends within the record at byte {offset}")
    length, checksum = _HEADER.unpack_from(content, offset)
    if checksum != _masked_crc(content[offset : offset + 8]):
        raise DataError(f"{path}: the record at byte {offset} has a damaged length; no TFRecord?")
    if data + length + _FOOTER.size > size:
        raise DataError(f"{path}: ends within the record at byte {offset}")
    return int(data + length + _FOOTER.size)


def _masked_crc(data: bytes) -> int:
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
