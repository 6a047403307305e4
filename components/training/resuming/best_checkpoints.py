"""Best checkpoints: the weights of the best epochs by a validation metric, beside the newest ones.

Each is a directory ``best-STEP``. Every checkpoint records which of them were the best by then, so
that a training that goes on from it ends with the same ones. None goes as long as a checkpoint
names it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from twofold.components import files
from twofold.components.training.resuming.checkpoint_files import (
    COURSE,
    damage,
    list_checkpoints,
)

_NAME = re.compile(r"best-(\d+)")
# Of a checkpoint's course.
BEST = "best"


@dataclasses.dataclass(frozen=True)
class Best:
    """The weights after a step.

    Attributes:
        step: updates made.
        value: of the metric.

    """

    step: int
    value: float

    @property
    def name(self) -> str:
        """The name of its directory."""
        return f"best-{self.step}"


class BestCheckpoints:
    """The best epochs of one training.

    Args:
        directory: of its checkpoints.
        count: how many are kept.
        mode: "min" if lower values are better, else "max".

    """

    def __init__(self, directory: Path, count: int, mode: Literal["min", "max"]) -> None:
        self._directory = directory
        self._count = count
        self._sign = 1.0 if mode == "min" else -1.0
        self._kept: list[Best] = []

    def offer(self, step: int, value: float, write: Callable[[Path], None]) -> None:
        """Keeps the weights at hand if they are among the best; of equals, the earlier.

        Args:
            step: updates made.
            value: of the metric.
            write: writes the weights in place of a directory.

        """
        if not math.isfinite(value):
            return
        new = Best(step, value)
        ranked = sorted([*self._kept, new], key=lambda one: (self._sign * one.value, one.step))
        kept = ranked[: self._count]
        if new in kept:
            write(self._directory / new.name)
        self._kept = kept

    def state(self) -> list[dict[str, Any]]:
        """Returns what a checkpoint records, the best first."""
        return [dataclasses.asdict(one) for one in self._kept]

    def resume(self, state: Iterable[Mapping[str, Any]]) -> None:
        """Takes up what a checkpoint has recorded."""
        self._kept = [Best(int(one["step"]), float(one["value"])) for one in state]

    def remove_others(self) -> None:
        """Removes those that no checkpoint names."""
        named = {
            one.step for found in list_checkpoints(self._directory) for one in _of(found.path)
        } | {one.step for one in self._kept}
        _remove_but(self._directory, named)

    def finish(self) -> None:
        """Removes all but the best, once training has ended."""
        _remove_but(self._directory, {one.step for one in self._kept})


def recorded_best(directory: Path) -> list[Best]:
    """Returns the best epochs that the newest intact checkpoint records and that are there."""
    for found in list_checkpoints(directory):
        if found.checked and damage(found.path) is None:
            return [one for one in _of(found.path) if (directory / one.name).is_dir()]
    return []


def _of(checkpoint: Path) -> Sequence[Best]:
    try:
        held = json.loads((checkpoint / COURSE).read_bytes()).get(BEST, [])
        return [Best(int(one["step"]), float(one["value"])) for one in held]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # One of an earlier version, or a damaged one.
        return []


def _remove_but(directory: Path, steps: set[int]) -> None:
    for path in directory.iterdir():
        found = _NAME.fullmatch(path.name)
        if found and int(found[1]) not in steps:
            files.remove_tree(path)
