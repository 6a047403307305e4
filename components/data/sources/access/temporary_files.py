"""Temporary files that live as long as an object."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path


class TemporaryPath:
    """A new, empty file in the folder for temporary files; removed with this object.

    Attributes:
        path: where it is.

    """

    def __init__(self, purpose: str):
        handle, self.path = tempfile.mkstemp(prefix=f"twofold-{purpose}-")
        os.close(handle)
        weakref.finalize(self, _remove, self.path, os.getpid())


def _remove(path: str, owner: int) -> None:
    # A forked process has the object, too, and the file is not its own.
    if os.getpid() == owner:
        Path(path).unlink(missing_ok=True)
