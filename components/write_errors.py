"""Errors of writing, such as a full disk, with the file that was being written."""

from __future__ import annotations

import errno
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
