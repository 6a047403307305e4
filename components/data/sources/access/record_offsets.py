"""TFRecord random access: offsets of the records of files that keep no index."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import numpy as np

from twofold.components.data.store.tf_example import FOOTER, HEADER, masked_crc
from twofold.components.errors import DataError

_LENGTH_BYTES = 8


class Records(Protocol):
    """Serialised records by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> bytes: ...


class RecordPosition(NamedTuple):
    """Where a record begins, how long its data are, and their checksum; in bytes."""

    offset: int
    length: int
    checksum: int


class DamagedRecordError(Exception):
    """A record's data are not those that were written."""


def scan_records(file: IO[bytes], name: str) -> Iterator[RecordPosition]:
    """Where the records of a TFRecord file are; their data are passed over.

    Args:
        file: it may be read elsewhere in between.
        name: the file's, for the message of an error.

    Raises:
        DataError: the file ends within a record, or a record's length is damaged.

    """
    size = file.seek(0, 2)
    offset = 0
    while offset < size:
        file.seek(offset)
        header = file.read(HEADER.size)
        if len(header) < HEADER.size:
            raise DataError(f"{name}: ends within the record at byte {offset}")
        if not _is_header(header):
            raise DataError(
                f"{name}: the record at byte {offset} has a damaged length; no TFRecord?"
            )
        length, _ = HEADER.unpack(header)
        stop = offset + HEADER.size + length + FOOTER.size
        if stop > size:
            raise DataError(f"{name}: ends within the record at byte {offset}")
        file.seek(stop - FOOTER.size)
        (of_data,) = FOOTER.unpack(file.read(FOOTER.size))
        yield RecordPosition(offset, length, of_data)
        offset = stop


def read_record(file: IO[bytes], offset: int, name: str) -> bytes:
    """The data of the record at a position that `scan_records` gave.

    Raises:
        DamagedRecordError: the data do not match their checksum.

    """
    file.seek(offset)
    header = file.read(HEADER.size)
    rest = b""
    if _is_header(header):
        length, _ = HEADER.unpack(header)
        rest = file.read(length + FOOTER.size)
    data, footer = rest[: -FOOTER.size], rest[-FOOTER.size :]
    if len(footer) < FOOTER.size or FOOTER.unpack(footer)[0] != masked_crc(data):
        raise DamagedRecordError(f"{name}: wrong checksum at byte {offset}")
    return data


def _is_header(header: bytes) -> bool:
    return len(header) == HEADER.size and HEADER.unpack(header)[1] == masked_crc(
        header[:_LENGTH_BYTES]
    )


class TfrecordFiles:
    """The records of several TFRecord files, by position over all of them.

    A file is scanned, header by header, when its first record is read.

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
            return read_record(file, offset, self._paths[number].name)

    def _scan(self, number: int) -> np.ndarray:
        path = self._paths[number]
        expected = self._bounds[number + 1] - self._bounds[number]
        with path.open("rb") as file:
            found = np.fromiter((each.offset for each in scan_records(file, str(path))), np.int64)
        if len(found) != expected:
            raise DataError(f"{path}: expected {expected} records, found {len(found)}")
        return found
