"""Errors of writing, such as a full disk, with the file that was being written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What a disk answers to writing; of such an error Python does not know the file.
_OF_WRITING = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EROFS)


@contextmanager
def naming_file(target: Path, temporary: Path | None = None) -> Iterator[None]:
    """Names the file in errors of writing that lack it, or have its temporary name."""
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None and error.errno in _OF_WRITING
        if unnamed or (temporary is not None and error.filename == str(temporary)):
            error.filename = str(target)
        raise


@contextmanager
def advising(target: Path, advice: str) -> Iterator[None]:
    """Names the file and says what to do in errors of writing, also those that TensorFlow reports.

    Args:
        target: what is being written.
        advice: what to do, and what is left as it was.

    Raises:
        OSError: of the system, in place of one of TensorFlow's.

    """
    try:
        yield
    except Exception as error:
        number = _number_of(error)
        if number is None:
            raise
        raise OSError(number, f"{os.strerror(number)}: {advice}", str(target)) from error


def _number_of(error: Exception) -> int | None:
    """Returns the system's number for an error of writing; None for any other one."""
    if isinstance(error, OSError):
        return error.errno if error.errno in _OF_WRITING else None
    if not type(error).__module__.startswith("tensorflow."):
        return None
    message = str(error)
    return next((one for one in _OF_WRITING if os.strerror(one) in message), None)
