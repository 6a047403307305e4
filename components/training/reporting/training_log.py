"""Training log: ``train.log``, what a training tells people, with the time of each line."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

from twofold.components import files

# In a run's directory, of all its trainings.
LOG = "train.log"


class TrainingLog:
    """A text file that lines are added to, of all attempts one after the other.

    Args:
        path: of the file; created with the first line.
        now: gives the time, with its zone.

    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._path, self._now = path, now

    def __call__(self, text: str) -> None:
        """Adds a line, or several.

        Raises:
            OSError: if it cannot be written, such as on a full disk.

        """
        time = self._now().astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for line in text.splitlines():
            files.append_line(self._path, f"{time} {line.rstrip()}", flush=False)
