"""Format of ``run.json``: read and checked once, so that what is damaged is named by its key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic

from twofold.components.errors import RunDirectoryError

RECORD = "run.json"


class _Reused(pydantic.BaseModel):
    code: dict[str, str] | None = None
    source: str | None = None
    inputs: dict[str, Any] | None = None
    changed: list[str] = []


class _File(pydantic.BaseModel):
    bytes: int
    crc32c: int
    modified_ns: int


class _Part(pydantic.BaseModel):
    step: int
    settings: dict[str, Any]


class _Step(pydantic.BaseModel):
    status: str | None = None
    fingerprint: str | None = None
    inputs: dict[str, Any] | None = None
    code: dict[str, str] | None = None
    source: str | None = None
    files: dict[str, int | _File] | None = None
    reused: _Reused | None = None
    training: str | None = None
    course: list[_Part] | None = None
    details: dict[str, Any] = {}
    metrics: dict[str, pydantic.StrictFloat | pydantic.StrictInt] = {}
    attempts: int = 1
    seconds: float = 0
    cpu_seconds: float = 0


class _Record(pydantic.BaseModel):
    steps: dict[str, _Step]
    configuration: dict[str, Any] | None = None


def parse_record(path: Path) -> dict[str, Any]:
    """Reads the record of a run.

    Args:
        path: of ``run.json``.

    Returns:
        What it holds, whose keys are of the types that the steps write; other keys are kept.

    Raises:
        FileNotFoundError: there is none.
        RunDirectoryError: it is damaged, naming the first key at fault.

    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise _damaged(path, f"expected JSON, received {error}") from error
    if not isinstance(record, dict):
        raise _damaged(path, "expected an object with the key 'steps'")
    try:
        _Record.model_validate(record)
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise _damaged(
            path, f"expected at {key}: {fault['msg']}, received {repr(fault['input'])[:60]}"
        ) from error
    found: dict[str, Any] = record
    return found


def _damaged(path: Path, fault: str) -> RunDirectoryError:
    return RunDirectoryError(
        f"{path} is damaged: {fault}: restore it from a copy (superseded/ may hold one), or give "
        f"this run a name of its own with --name"
    )
