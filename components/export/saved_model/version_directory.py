"""Version directory of an exported model: finding it, and checking its files by checksums.

A list of checksums says that files are what they were when they were written. It does not say who
wrote them: whoever can change a file can change the list, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from twofold.components import files
from twofold.components.errors import ExportedModelError

SAVED_MODEL_FILE = "saved_model.pb"
# Where TensorFlow Serving looks for what belongs to a model and is not of its graph.
EXTRA = "assets.extra"
CHECKSUMS_FILE = "checksums.json"

_BLOCK = 1 << 20


def is_version_number(name: str) -> bool:
    """Tells whether TensorFlow Serving takes a directory of this name for a version."""
    return name.isascii() and name.isdecimal()


def versions_in(directory: Path) -> dict[int, Path]:
    """The versions in a directory, by number; empty where there is none, or no directory."""
    if not directory.is_dir():
        return {}
    return {int(path.name): path for path in directory.iterdir() if _is_version(path)}


def find_version(model: Path) -> Path:
    """The directory of the version that is meant.

    Args:
        model: such a directory itself, or one that holds versions by number: the newest is meant.

    Raises:
        ExportedModelError: if it is neither.

    """
    if (model / SAVED_MODEL_FILE).is_file():
        return model
    versions = versions_in(model)
    if versions:
        return versions[max(versions)]
    found = "no such directory"
    if model.is_dir():
        names = sorted(path.name for path in model.iterdir())
        found = f"found {', '.join(names[:8]) or 'nothing'}{', ...' if len(names) > 8 else ''}"
    raise ExportedModelError(
        f"{model} holds no exported model: expected {SAVED_MODEL_FILE} in it, or in "
        f"{model / '<integer version>'}; {found}"
    )


def file_checksums(version: Path) -> dict[str, str]:
    """The sha256 (hex) of every file of a version but the list itself, by path within it."""
    listed = f"{EXTRA}/{CHECKSUMS_FILE}"
    paths = {
        path.relative_to(version).as_posix(): path for path in version.rglob("*") if path.is_file()
    }
    return {name: _sha256(paths[name]) for name in sorted(paths) if name != listed}


def write_checksums(version: Path) -> Path:
    """Writes the list of what a version holds; call it when all else is there.

    Returns:
        The list's path: sha256 (hex) by path within the version.

    """
    path = version / EXTRA / CHECKSUMS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, file_checksums(version))
    return path


def read_checksums(version: Path) -> dict[str, str] | None:
    """What ``write_checksums`` wrote; None where there is no list.

    Raises:
        ExportedModelError: if the list is damaged.

    """
    path = version / EXTRA / CHECKSUMS_FILE
    if not path.exists():
        return None
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportedModelError(f"{path} is damaged: {error}") from error
    if not isinstance(listed, dict) or not all(isinstance(one, str) for one in listed.values()):
        raise ExportedModelError(f"{path} is damaged: expected an object of checksums by path")
    return listed


def differing_files(recorded: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """What is wrong with files, one sentence each, by the list of what they should be."""
    problems = []
    for name in sorted({*recorded, *present}):
        if name not in present:
            problems.append(f"{name} is missing")
        elif name not in recorded:
            problems.append(f"{name} is not in the list of checksums")
        elif recorded[name] != present[name]:
            problems.append(
                f"{name} is damaged: its sha256 is {present[name][:12]}, recorded was "
                f"{recorded[name][:12]}"
            )
    return problems


def checksum_of(checksums: Mapping[str, str]) -> str:
    """One sha256 (hex) for a whole version: that of ``sha256sum``'s lines for its files, sorted."""
    lines = "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
    return hashlib.sha256(lines.encode()).hexdigest()


def _is_version(path: Path) -> bool:
    return is_version_number(path.name) and (path / SAVED_MODEL_FILE).is_file()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
