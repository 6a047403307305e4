"""Serving root, the directory that TensorFlow Serving watches: publish a version, or withdraw it.

TensorFlow Serving looks at the directories of a root whose names are integers, and serves the
highest of them. What is not served yet, not served any more or not a model has another name and
does not disturb it:

- ``.tmp-...``: a copy that is not finished. The rename to its number is what publishes it.
- ``withdrawn/N``: a version that was rolled back.
- ``promotions.jsonl``: every decision, one JSON object a line, only ever appended to.
- ``.lock``: held by whoever decides, so that two promoters take their turns.

A number is never used twice, since a server does not load again what it has loaded under a number.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.errors import ExportedModelError, ServingRootError
from twofold.components.export.saved_model.version_directory import (
    checksum_of,
    file_checksums,
    is_version_number,
)

LOG_FILE = "promotions.jsonl"
WITHDRAWN = "withdrawn"

_LOCK = ".lock"
# The second is what version 0.1.0 gave a copy.
_UNFINISHED = (".tmp-", ".incoming-")


class ServingRoot:
    """A serving root in the hands of one process; ``open_root`` gives it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def versions(self) -> dict[int, Path]:
        """What TensorFlow Serving takes for versions, by number, whatever is in them."""
        return _numbered(self.path)

    @property
    def withdrawn(self) -> dict[int, Path]:
        """The versions that were rolled back, by number."""
        return _numbered(self.path / WITHDRAWN)

    @property
    def current(self) -> int | None:
        """The version that TensorFlow Serving serves."""
        return max(self.versions, default=None)

    def next_number(self) -> int:
        """A number above all that were ever used here."""
        used = {entry.get("version") for entry in self.log()}
        recorded = {number for number in used if type(number) is int}
        return max({0} | recorded | {*self.versions} | {*self.withdrawn}) + 1

    def log(self) -> list[dict[str, Any]]:
        """All decisions, the oldest first; a line that a crash cut short is passed over."""
        path = self.path / LOG_FILE
        if not path.exists():
            return []
        entries = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict):
                    entries.append(entry)
        return entries

    def record(self, decision: str, entry: Mapping[str, Any]) -> None:
        """Appends a decision with the time, and returns when it is on the disk."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "decision": decision, **entry}, sort_keys=False)
        files.append_line(self.path / LOG_FILE, line)

    def publish(self, version: Path, number: int, checksum: str) -> Path:
        """Copies a version in, and gives it its number when the copy is whole and on the disk.

        Args:
            version: the directory to copy.
            number: its number here, see ``next_number``.
            checksum: of all its files, as they were when they were looked at.

        Returns:
            The published directory.

        Raises:
            ExportedModelError: if the files are others than those that were looked at.
            OSError: if they cannot be copied; nothing is left then.

        """
        target = self.path / str(number)
        with files.new_directory(target) as incoming:
            shutil.copytree(version, incoming, dirs_exist_ok=True)
            if checksum_of(file_checksums(incoming)) != checksum:
                raise ExportedModelError(
                    f"{version} changed while it was looked at: its files are others now"
                )
        return target

    def go_back_to(self, number: int) -> list[int]:
        """Makes a version the highest by moving those above it to ``withdrawn/``.

        The lower of them go first, so that the highest stays in force until the last move, and no
        version in between is served for a moment. A version that was withdrawn itself comes back
        under its own number.

        Returns:
            The numbers that were withdrawn, in the order of their moves.

        Raises:
            ServingRootError: if there is no such version.

        """
        folder = self.path / WITHDRAWN
        if number not in self.versions and number not in self.withdrawn:
            known = sorted({*self.versions, *self.withdrawn})
            raise ServingRootError(
                f"{self.path} has no version {number}: expected one of "
                f"{', '.join(map(str, known)) or 'none, it is empty'}"
            )
        if number not in self.versions:
            files.move_directory(self.withdrawn[number], self.path / str(number))
        above = sorted(other for other in self.versions if other > number)
        if above:
            folder.mkdir(exist_ok=True)
        for other in above:
            files.move_directory(self.versions[other], folder / str(other))
        return above


@contextlib.contextmanager
def open_root(path: Path, *, create: bool = False) -> Iterator[ServingRoot]:
    """Gives a serving root, and waits for another process that has it.

    What a process left that was killed while it copied is removed.

    Args:
        path: the root.
        create: whether to make it where it is missing.

    Raises:
        ServingRootError: if it is missing and not to be made, or is a model or no directory.

    """
    if path.exists() and not path.is_dir():
        raise ServingRootError(f"{path} is a file: expected the directory that a server watches")
    if (path / "saved_model.pb").exists():
        raise ServingRootError(
            f"{path} is an exported model itself: expected the directory that holds versions"
        )
    if not path.exists() and not create:
        raise ServingRootError(f"no such serving root: {path}")
    path.mkdir(parents=True, exist_ok=True)
    with (path / _LOCK).open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for prefix in _UNFINISHED:
            files.remove_abandoned(path, prefix)
        yield ServingRoot(path)


def _numbered(directory: Path) -> dict[int, Path]:
    if not directory.is_dir():
        return {}
    return {int(path.name): path for path in directory.iterdir() if is_version_number(path.name)}
