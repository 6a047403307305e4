"""Metrics file of a training: ``metrics.jsonl``, one JSON object for each interval."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twofold.components import files


class MetricsFile:
    """The intervals of a training, each once, however often it was interrupted.

    Args:
        path: of the file; created with the first interval.

    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def resume(self, step: int) -> int:
        """Cuts what a training that goes on from a step is about to write again.

        Args:
            step: 0 for one that begins.

        Returns:
            How many lines were cut, one that a crash cut short among them.

        Raises:
            OSError: if the file cannot be read or written.

        """
        if not self.path.exists():
            return 0
        content = self.path.read_bytes()
        lines = content.splitlines(keepends=True)
        kept = list(_up_to(step, lines))
        if len(kept) < len(lines):
            files.write_bytes(self.path, b"".join(kept))
        return len(lines) - len(kept)

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends an interval; what is no finite number becomes null.

        Raises:
            OSError: if it cannot be written, such as on a full disk.

        """
        line = json.dumps({name: _finite(value) for name, value in record.items()})
        files.append_line(self.path, line, flush=False)

    def flush(self) -> None:
        """Returns when what was written is on the disk."""
        if self.path.exists():
            files.flush(self.path)


def _up_to(step: int, lines: list[bytes]) -> Iterator[bytes]:
    """Gives the whole lines of steps up to one, in ascending order."""
    last = 0
    for line in lines:
        try:
            found = int(json.loads(line)["step"])
        except (ValueError, TypeError, KeyError):
            continue
        if last < found <= step and line.endswith(b"\n"):
            last = found
            yield line


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
