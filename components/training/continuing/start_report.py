"""Report of what a training started from, kept beside its checkpoints as ``start.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.components import files

_START = "start.json"
# Of the weights that a network did not take.
_NAMED = 3


def write_start(checkpoints: Path, report: Mapping[str, Any]) -> None:
    """Writes what a training starts from.

    Args:
        checkpoints: of the training.
        report: "from", a path; "weights", which there; "networks", by name how many weights were
            taken, of how many, and which were not; "not_taken", what else is there; and
            "as_at_the_start", what took no weights of its own from there.

    """
    files.write_json(checkpoints / _START, report)


def read_start(checkpoints: Path) -> dict[str, Any] | None:
    """Returns what a training started from; None where it started from its own first weights."""
    try:
        report: dict[str, Any] = json.loads((checkpoints / _START).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return report


def describe_start(report: Mapping[str, Any]) -> list[str]:
    """Says what was taken of the weights that a training started from, and what was not.

    Args:
        report: of ``read_start``.

    """
    parts = [
        f"{name} {one['weights']} of {one['of']} weights"
        + (f" (not {some_of(one['left'])})" if one["left"] else "")
        for name, one in report["networks"].items()
    ]
    lines = [f"starts from {report['from']} ({report['weights']}): {'; '.join(parts)}"]
    if report["not_taken"]:
        lines.append(f"not taken from there: {', '.join(report['not_taken'])}")
    return lines


def some_of(lines: Sequence[str]) -> str:
    """Lists the first ones, and says how many more there are."""
    more = len(lines) - _NAMED
    return "; ".join(lines[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
