"""Checks of paths' schemes: local paths alone, or buckets whose scheme is spelt as it is known."""

from __future__ import annotations

import re
from pathlib import Path

from twofold.components.errors import UsageError
from twofold.components.files import is_remote

# As pathlib leaves it; a single letter may be a drive.
_COLLAPSED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)")


def check_local(path: Path | str, name: str, expected: str = "a path on a local disk") -> None:
    """Refuses a path with a scheme where only local ones are supported.

    Args:
        path: what was received.
        name: of the argument or setting that it is.
        expected: what is supported there.

    Raises:
        UsageError: the path has a scheme, maybe with one of its slashes lost on the way.

    """
    text = str(path)
    if not is_remote(text) and not _COLLAPSED.match(text):
        return
    # pathlib takes slashes away; what a text lacks was not typed.
    slashes = "///" if _is_file(text) else "//"
    received = _COLLAPSED.sub(rf"\1:{slashes}", text, count=1) if isinstance(path, Path) else text
    if _is_file(text):
        raise UsageError(f"{name}: expected {expected} without file://, received {received}")
    raise UsageError(
        f"{name}: a bucket is not supported here: expected {expected}, received {received}"
    )


def check_scheme(path: str, name: str) -> None:
    """Refuses a path whose scheme is misspelt, which would be taken for a local or an unknown one.

    Args:
        path: what was received.
        name: of the argument or setting that it is.

    Raises:
        UsageError: one of its slashes is missing, or the scheme is not in lower case.

    """
    scheme, _, rest = path.partition(":")
    if _COLLAPSED.match(path):
        kind = "a local path without file:" if _is_file(path) else "a path on a local disk, or"
        mended = "" if _is_file(path) else f" {scheme.lower()}://{rest.lstrip('/')}"
        raise UsageError(f"{name}: expected {kind}{mended}, received {path}")
    if is_remote(path) and scheme != scheme.lower():
        raise UsageError(f"{name}: expected {scheme.lower()}:{rest}, received {path}")


def _is_file(path: str) -> bool:
    return path.lower().startswith("file:/")
