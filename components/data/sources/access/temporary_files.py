"""Temporary file without a name: it goes with its object, and however its process ends."""

from __future__ import annotations

import io
import os
import tempfile
import weakref
from typing import IO


class TemporaryFile:
    """A file in the folder for temporary files that has no name there, so that no kill leaves it.

    It may be opened any number of times, also by threads and by forked processes.

    Attributes:
        writer: open to write; to be flushed before what was written is read.

    """

    def __init__(self) -> None:
        self.writer: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as this does
        weakref.finalize(self, self.writer.close)

    def open(self) -> IO[bytes]:
        """The content, from its beginning; readable after this object is gone."""
        return io.BufferedReader(_Reader(os.dup(self.writer.fileno())))


class _Reader(io.RawIOBase):
    """Reads a descriptor from a position of its own, whoever else has the file open."""

    def __init__(self, descriptor: int):
        super().__init__()
        self._descriptor, self._position = descriptor, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}
        start = starts[whence] if whence in starts else os.fstat(self._descriptor).st_size
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        read = os.preadv(self._descriptor, [buffer], self._position)
        self._position += read
        return read

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
