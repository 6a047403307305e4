"""Checkpoint store: what a training loop needs of its checkpoints, whoever keeps them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from twofold.components.training.resuming.checkpoint_files import StoredCheckpoint


@dataclasses.dataclass(frozen=True)
class Resumption:
    """Where a training goes on from.

    Attributes:
        step: updates made.
        interval: the metrics of the last of them that are in no mean yet.
        alarms: what these knew.
        checkpoint: what was restored; None for the first weights.

    """

    step: int
    interval: list[dict[str, float]] = dataclasses.field(default_factory=list)
    alarms: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    checkpoint: StoredCheckpoint | None = None


class CheckpointStore(Protocol):
    """The checkpoints of one training; see ``twofold.components.training.checkpoint``."""

    def restore(self) -> Resumption:
        """Restores the newest intact checkpoint, if there is one."""

    def roll_back(self, before: int) -> Resumption | None:
        """Restores the newest intact checkpoint before a step, and removes those after it."""

    def save(
        self,
        interval: Sequence[Mapping[str, float]] = (),
        alarms: Mapping[str, Any] | None = None,
        *,
        keep_before: int | None = None,
    ) -> None:
        """Begins a checkpoint of the step at hand, which is written in the background."""

    @property
    def failed(self) -> bool:
        """Whether a save has failed, which the next one, or ``wait``, raises."""

    def wait(self) -> None:
        """Returns when what was saved is on the disk."""

    def close(self) -> None:
        """Returns when nothing is being written, whatever became of it."""
