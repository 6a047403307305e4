"""Checkpoint files: found by listing a directory, and held to checksums of their own.

A checkpoint is a directory ``ckpt-STEP``, which appears under its name whole; ``checksums.json`` is
the last file that is written in it. Those of earlier versions are files ``ckpt-STEP.index`` and
``ckpt-STEP.data-...`` without checksums.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

from twofold.components import files

CHECKSUMS = "checksums.json"
COURSE = "course.json"
# What the names of TensorFlow's files begin with.
STATE = "state"
_WHOLE = re.compile(r"ckpt-(\d+)")
_EARLIER = re.compile(r"ckpt-(\d+)\.(?:index|data-\d+-of-\d+)")
# What earlier versions left of a save that failed.
_LEFT = re.compile(r"ckpt-\d+_temp")
# Where TensorFlow noted the newest one for earlier versions.
_POINTER = "checkpoint"


@dataclasses.dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint on disk, intact or not.

    Attributes:
        step: updates made before it.
        path: its directory; of an earlier version, what the names of its files begin with.
        checked: whether it holds checksums; not so one of an earlier version.

    """

    step: int
    path: Path
    checked: bool

    @property
    def prefix(self) -> str:
        """What TensorFlow calls it."""
        return str(self.path / STATE if self.checked else self.path)

    def names(self) -> list[str]:
        """Names its files, as seen from the directory that it is in."""
        if self.checked:
            found = [path for path in self.path.rglob("*") if path.is_file()]
        else:
            found = list(self.path.parent.glob(f"{self.path.name}.*"))
        return sorted(path.relative_to(self.path.parent).as_posix() for path in found)

    def remove(self) -> None:
        """Removes its files."""
        if self.checked:
            files.remove_tree(self.path)
            return
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            path.unlink(missing_ok=True)


def list_checkpoints(directory: Path) -> list[StoredCheckpoint]:
    """Gives the checkpoints in a directory, intact or not, the newest first."""
    found = set()
    for path in directory.iterdir() if directory.is_dir() else ():
        if (whole := _WHOLE.fullmatch(path.name)) and path.is_dir():
            found.add((int(whole[1]), True))
        elif earlier := _EARLIER.fullmatch(path.name):
            found.add((int(earlier[1]), False))
    return [
        StoredCheckpoint(step, directory / f"ckpt-{step}", checked)
        for step, checked in sorted(found, reverse=True)
    ]


def has_checkpoint(directory: Path) -> bool:
    """Tells whether there is a checkpoint, intact or not."""
    return bool(list_checkpoints(directory))


def remove_checkpoints(directory: Path) -> None:
    """Removes all checkpoints of a training that will not be resumed."""
    for found in list_checkpoints(directory):
        found.remove()
    (directory / _POINTER).unlink(missing_ok=True)


def remove_remains(directory: Path) -> None:
    """Removes what failed or killed saves left behind, and puts back what they were replacing."""
    files.remove_abandoned(directory, ".tmp-ckpt-")
    for aside in directory.glob(".ckpt-*.old"):
        files.restore_directory(directory / aside.name[1:].removesuffix(".old"))
        shutil.rmtree(aside, ignore_errors=True)
    for path in directory.iterdir():
        if _LEFT.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def write_checksums(directory: Path) -> None:
    """Writes the checksums of all files in a directory, at any depth, beside them."""
    held = {
        path.relative_to(directory).as_posix(): {
            "bytes": path.stat().st_size,
            "crc32c": files.crc32c(path),
        }
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
    files.write_json(directory / CHECKSUMS, held)


def damage(directory: Path) -> str | None:
    """Says what is missing in a directory or not as it was written, naming the file.

    Args:
        directory: in which ``write_checksums`` wrote.

    Returns:
        One line; None where all is as it was written.

    Raises:
        OSError: if a file that is there cannot be read, which says nothing about its content.

    """
    path = directory / CHECKSUMS
    try:
        held = json.loads(path.read_bytes())
        expected = [(name, int(one["bytes"]), int(one["crc32c"])) for name, one in held.items()]
    except FileNotFoundError:
        return f"{path} is missing"
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"{path} is damaged"
    for name, size, checksum in expected:
        file = directory / name
        if not file.is_file():
            return f"{file} is missing"
        if file.stat().st_size != size:
            return f"{file} has {file.stat().st_size:,} bytes instead of {size:,}"
        if files.crc32c(file) != checksum:
            return f"{file} is not as it was written: its checksum differs"
    return None


def newest_intact(directory: Path) -> StoredCheckpoint | None:
    """Returns the newest checkpoint that is not known to be damaged, if there is one."""
    found = list_checkpoints(directory)
    return next((one for one in found if not one.checked or damage(one.path) is None), None)


def recorded_fingerprint(directory: Path) -> str | None:
    """Returns what the newest intact checkpoint says its training comes from, if there is one."""
    for found in list_checkpoints(directory):
        if found.checked and damage(found.path) is None:
            course = json.loads((found.path / COURSE).read_bytes())
            return None if course["fingerprint"] is None else str(course["fingerprint"])
    return None
