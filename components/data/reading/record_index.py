"""Record index of a split: where its records lie in its shards, and any of them by its row."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from twofold.components import files
from twofold.components.data.store.tf_example import FOOTER, HEADER, frame
from twofold.components.errors import DataError

# Open files at a time: systems commonly allow a process about a thousand.
_OPEN_FILES = 128
# Of a bucket, shards that are held whole.
_HELD_SHARDS = 2


@dataclass(frozen=True)
class Records:
    """The records of N images.

    They are read with `pread`: it leaves other Python threads running while the disk is waited for,
    which a memory map would not, and a file that was cut meanwhile is an error and not the end of
    the process. Shards in a bucket are read whole, which suits rows in order alone.

    Attributes:
        files: the shards' paths.
        shard: the position in `files` of each record's, int32 [N].
        offset: where the framed record begins, in bytes, int64 [N].
        length: the framed record's bytes, int32 [N].
        keys: the images' keys, text [N].

    """

    files: tuple[str, ...]
    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    keys: np.ndarray

    @staticmethod
    def join(parts: Sequence[Records]) -> Records:
        """The records of several, one after the other."""
        before = np.cumsum([0, *(len(part.files) for part in parts)])
        shards = [part.shard + first for part, first in zip(parts, before, strict=False)]
        return Records(
            files=tuple(file for part in parts for file in part.files),
            shard=np.concatenate(shards).astype(np.int32),
            offset=np.concatenate([part.offset for part in parts]),
            length=np.concatenate([part.length for part in parts]),
            keys=np.concatenate([part.keys for part in parts]),
        )

    def select(self, rows: np.ndarray) -> Records:
        """The records of rows, int64 [n]."""
        columns = (self.shard, self.offset, self.length, self.keys)
        return Records(self.files, *(column[rows] for column in columns))

    def __len__(self) -> int:
        return len(self.shard)

    def read(self, rows: np.ndarray) -> list[bytes]:
        """The serialised examples of rows, int64 [B], without their framing.

        Raises:
            DataError: a shard cannot be read, or a record is not as its checksums say.

        """
        examples = []
        columns = (self.shard, self.offset, self.length)
        for row, shard, offset, length in zip(
            rows.tolist(), *(column[rows].tolist() for column in columns), strict=True
        ):
            try:
                record = self._open(shard).read(length, offset)
            except OSError as error:
                raise DataError(f"{self.files[shard]} cannot be read: {error.strerror}") from error
            example = record[HEADER.size : -FOOTER.size]
            # Both checksums and the length are part of the frame.
            if frame(example) != record:
                raise DataError(
                    f"{self.files[shard]} is damaged: the record of image {str(self.keys[row])!r}, "
                    f"{length} bytes from byte {offset} on, is not as its checksums say; preparing "
                    f"the dataset again in an empty folder mends it"
                )
            examples.append(example)
        return examples

    @cached_property
    def _open(self) -> Callable[[int], _File]:
        """Opens a shard, or gives it as it was opened before."""
        paths, lock = self.files, threading.Lock()
        remote = any(files.is_remote(path) for path in paths)

        @functools.lru_cache(_HELD_SHARDS if remote else _OPEN_FILES)
        def opened(shard: int) -> _File:
            path = paths[shard]
            return _RemoteFile(path) if files.is_remote(path) else _LocalFile(path)

        def open_once(shard: int) -> _File:
            with lock:
                return opened(shard)

        return open_once


class _File(Protocol):
    def read(self, length: int, offset: int) -> bytes:
        """The bytes from an offset on, fewer where the file ends."""


class _LocalFile:
    """An open file; it is closed when nobody reads it any more."""

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def read(self, length: int, offset: int) -> bytes:
        return os.pread(self._descriptor, length, offset)


class _RemoteFile:
    """The whole of a file in a bucket."""

    def __init__(self, path: str) -> None:
        self._content = files.read_bytes(path)

    def read(self, length: int, offset: int) -> bytes:
        return self._content[offset : offset + length]


def copy_shards(
    records: Records, folder: Path, progress: Callable[[int], None] | None = None
) -> Records:
    """The same records in copies of their shards in a local folder.

    A copy that is there is not made again: one appears whole or not at all, and its records are
    checked whenever they are read.

    Args:
        records: of shards in a bucket.
        folder: where the copies are kept, by the shards' names.
        progress: called with the number of images whose shard is there.

    """
    folder.mkdir(parents=True, exist_ok=True)
    images = np.bincount(records.shard, minlength=len(records.files))
    copies = []
    for file, done in zip(records.files, np.cumsum(images).tolist(), strict=True):
        copy = folder / file.rpartition("/")[2]
        if files.size(copy) != files.size(file):
            files.link_or_copy(file, copy)
        copies.append(str(copy))
        if progress is not None:
            progress(done)
    return Records(tuple(copies), records.shard, records.offset, records.length, records.keys)
