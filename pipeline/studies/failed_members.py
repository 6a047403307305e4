"""Failed members of a study: tried once for each start of it, by whichever process.

A study is started by the process that holds its directory; others join that start. What fails is
noted beside the member's record, with the start, so that no other process tries it again.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

from twofold.components import files
from twofold.components.errors import DirectoryInUseError, RunDirectoryError, StudyError, UsageError
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.runs.record_format import RECORD, parse_record
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.studies.study_members import STEP, is_prepared

_START = "start"
_NOTE = "failure.json"


def new_start() -> dict[str, str]:
    """Returns what is recorded of a start, by which it is told from all others."""
    return {_START: uuid.uuid4().hex}


@contextlib.contextmanager
def tried_once(study: Context, member: Context) -> Iterator[None]:
    """Runs a member unless it failed since the study was started, and notes it if it fails.

    Args:
        study: whose record names the start.
        member: whose directory this process holds.

    Raises:
        StudyError: if it failed before.

    """
    note, start = member.run.path / _NOTE, _start_of(study)
    try:
        before: Any = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    if start is not None and before.get(_START) == start:
        raise StudyError(f"{before['error']} (in another process)")
    try:
        yield
    except (DirectoryInUseError, UsageError):
        raise
    except Exception as error:
        # All see the same images: without them it is the study that fails.
        if is_prepared(member.run.path):
            files.write_json(note, {_START: start, "error": error_line(error)})
        raise
    note.unlink(missing_ok=True)


def _start_of(study: Context) -> str | None:
    """Returns the latest start of a study; None where its record is of before there were any."""
    try:
        entry = parse_record(study.run.path / RECORD)["steps"].get(STEP, {})
    except (FileNotFoundError, RunDirectoryError):
        return None
    return None if _START not in entry else str(entry[_START])
