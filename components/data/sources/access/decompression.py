"""Decompression of files into copies on the local disk, which can be read from any position."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import re
import shutil
import threading
import zlib
from typing import IO, Any

from twofold.components import files
from twofold.components.data.sources.access.temporary_files import TemporaryFile
from twofold.components.errors import DamagedArchiveError

# How files begin, and what opens them.
_OPENERS = (
    (re.compile(rb"\x1f\x8b\x08"), gzip.open),
    (re.compile(rb"BZh[1-9]1AY&SY"), bz2.open),
    (re.compile(rb"\xfd7zXZ\x00"), lzma.open),
)
_START = 10
# What a damaged file raises while it is decompressed.
_DAMAGED = (OSError, EOFError, zlib.error, lzma.LZMAError)
_LOCK = threading.Lock()


def is_compressed(file: IO[bytes]) -> bool:
    """Whether a file begins as one of gzip, bzip2 or xz does."""
    return _opener(file) is not None


def open_decompressed(file: IO[bytes]) -> Any:
    """The content of a compressed file, as a file; gzip is tried where none is recognised."""
    opener: Any = _opener(file) or gzip.open
    return opener(file, "rb")


def open_unpacked(path: str, stamp: str) -> IO[bytes]:
    """A compressed file's content.

    Each process unpacks a file once, into the folder for temporary files, and keeps the last four.

    Args:
        path: the compressed file.
        stamp: changes with its content.

    Raises:
        DamagedArchiveError: it is damaged.

    """
    # Threads that need the same file wait for one copy; one that is open outlives it.
    with _LOCK:
        return _unpack(path, stamp).open()


@functools.lru_cache(maxsize=4)
def _unpack(path: str, stamp: str) -> TemporaryFile:
    copy = TemporaryFile()
    try:
        with files.open_input(path) as file, open_decompressed(file) as content:
            shutil.copyfileobj(content, copy.writer, 1 << 20)
        copy.writer.flush()
    except _DAMAGED as error:
        raise DamagedArchiveError(
            f"{path}: cannot be decompressed, and may be damaged ({error})"
        ) from error
    return copy


def _opener(file: IO[bytes]) -> Any:
    file.seek(0)
    start = file.read(_START)
    file.seek(0)
    return next((opener for pattern, opener in _OPENERS if pattern.match(start)), None)
