"""Checkpoints of several workers: the chief's, which the others receive and never publish."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.errors import CheckpointError, TrainingDivergedError, TwofoldError
from twofold.components.training.resuming.checkpoint_files import remove_checkpoints
from twofold.components.training.resuming.checkpoint_store import CheckpointStore, Resumption
from twofold.components.training.workers.worker_group import Group


class SharedCheckpoints:
    """The checkpoints of a group of workers.

    The chief reads and writes its own. The others restore copies of the chief's files, whatever
    they had, so that all go on from one state, bit for bit; they write none.

    Args:
        own: of this worker.
        directory: where they are.
        group: the workers.

    """

    def __init__(self, own: CheckpointStore, directory: Path, group: Group) -> None:
        self._own = own
        self._directory = directory
        self._group = group

    def restore(self) -> Resumption:
        """Restores the chief's newest intact checkpoint in every worker.

        Raises:
            CheckpointError: if it is of another model, or the workers do not all have its step.
            OSError: if a file cannot be read or written.
            WorkerLost: if a worker is gone.

        """
        if self._group.cluster.is_chief:
            resumption = self._own.restore()
            self._hand_out(resumption)
        else:
            resumption = self._take()
        steps = self._group.exchange(resumption.step)
        for index, step in enumerate(steps):
            if step != steps[0]:
                raise CheckpointError(
                    f"{self._group.cluster.name(index)} goes on from step {step}, expected step "
                    f"{steps[0]} as the chief: run the same command on all workers again"
                )
        return resumption

    def roll_back(self, before: int) -> Resumption | None:
        """Rolls the chief back, and restores what it goes on from in every worker.

        Raises:
            OSError: if a file cannot be read or written.
            WorkerLost: if a worker is gone.

        """
        if not self._group.cluster.is_chief:
            return self._take() if self._group.exchange(None)[0] else None
        resumption = self._own.roll_back(before)
        if self._group.exchange(resumption is not None)[0] and resumption is not None:
            self._hand_out(resumption)
        return resumption

    def save(
        self,
        interval: Sequence[Mapping[str, float]] = (),
        alarms: Mapping[str, Any] | None = None,
        *,
        keep_before: int | None = None,
    ) -> None:
        """Begins the chief's checkpoint; if the one before has failed, it fails for all.

        Raises:
            TrainingDivergedError: if something that was trained is no longer finite.
            CheckpointError: in other workers than the chief, if the one before was not written.
            OSError: in the chief, likewise.
            WorkerLost: if a worker is gone.

        """
        self._let_chief(lambda: self._own.save(interval, alarms, keep_before=keep_before))

    @property
    def failed(self) -> bool:
        """Whether a save of this worker's has failed."""
        return self._own.failed

    def wait(self) -> None:
        """Returns when the chief's checkpoint is on its disk; raises as ``save`` does."""
        self._let_chief(self._own.wait)

    def close(self) -> None:
        """Returns when this worker writes nothing, whatever became of it."""
        self._own.close()

    def _let_chief(self, save: Callable[[], None]) -> None:
        """Lets the chief do something, whose failure is that of all."""
        if not self._group.cluster.is_chief:
            # What it writes for itself.
            self._own.wait()
            problem = self._group.exchange(None)[0]
            if problem is not None:
                kind = TrainingDivergedError if problem["diverged"] else CheckpointError
                raise kind(problem["message"])
            return
        try:
            save()
        except (TwofoldError, OSError) as error:
            diverged = isinstance(error, TrainingDivergedError)
            message = f"the chief could not write a checkpoint: {error}"
            # Who is lost meanwhile matters less.
            with contextlib.suppress(BaseException):
                self._group.exchange(
                    {"diverged": diverged, "message": str(error) if diverged else message}
                )
            raise
        self._group.exchange(None)

    def _hand_out(self, resumption: Resumption) -> None:
        found = resumption.checkpoint
        self._group.share_files(self._directory, () if found is None else found.names())

    def _take(self) -> Resumption:
        remove_checkpoints(self._directory)
        self._group.share_files(self._directory, ())
        return self._own.restore()


def share_directory(group: Group, directory: Path, *, there: bool) -> bool:
    """Gives all workers a directory of the chief's, in place of what they had under its name.

    Args:
        group: the workers.
        directory: the chief's, and where the others' is to be.
        there: whether the chief has it; what others pass is ignored.

    Returns:
        Whether the chief has it.

    """
    found = bool(group.exchange(there)[0])
    if group.cluster.is_chief:
        names = [path.relative_to(directory).as_posix() for path in _files_in(directory)]
        group.share_files(directory, names if found else ())
    elif found:
        with files.new_directory(directory, replace=True) as staging:
            group.share_files(staging, ())
    else:
        files.remove_tree(directory)
        group.share_files(directory, ())
    return found


def _files_in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())
