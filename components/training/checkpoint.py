"""Checkpoints of a training, for an exact resume."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from twofold.components import files
from twofold.components.errors import CheckpointError
from twofold.components.training.alarms.finite_weights import check_finite, weights_of
from twofold.components.training.resuming.background_writer import BackgroundWriter
from twofold.components.training.resuming.best_checkpoints import BEST, BestCheckpoints
from twofold.components.training.resuming.checkpoint_files import (
    COURSE,
    STATE,
    StoredCheckpoint,
    damage,
    has_checkpoint,
    list_checkpoints,
    remove_remains,
    write_checksums,
)
from twofold.components.training.resuming.checkpoint_store import Resumption
from twofold.components.training.resuming.weights_files import unreadable
from twofold.components.training.snapshot import Snapshot
from twofold.components.training.step import TrainState
from twofold.components.write_errors import advising

# Of what a checkpoint holds a copy of.
_BESIDE = "beside"


class Checkpoints:
    """The checkpoints of one training run.

    Each appears whole or not at all, flushed to the disk, with checksums; the newest intact one is
    found by listing the directory. A save copies what is trained in memory, and the copy is written
    in the background, one at a time.

    Args:
        directory: created when missing; what killed saves left in it is removed.
        state: built (``TrainState.build``), in its strategy's scope.
        keep: how many of the newest to keep.
        fingerprint: of what the training comes from, recorded in each checkpoint.
        beside: a directory of weights (``write_weights``) that belongs to the course of training: a
            checkpoint holds a copy of it, which is put back with the checkpoint.
        say: told which checkpoints are passed over, and why.
        writer: writes them, in order with what else it is given; None for one of their own.
        best: the best epochs by a metric, which a checkpoint records; None where none are kept.

    """

    def __init__(
        self,
        directory: Path,
        state: TrainState,
        keep: int = 2,
        *,
        fingerprint: str | None = None,
        beside: Path | None = None,
        say: Callable[[str], None] = lambda line: None,
        writer: BackgroundWriter | None = None,
        best: BestCheckpoints | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        remove_remains(directory)
        self._directory = directory
        self._state = state
        self._checkpoint = tf.train.Checkpoint(**state.trackables)
        self._weights = weights_of(state)
        self._keep = keep
        self._fingerprint = fingerprint
        self._beside = beside
        self._say = say
        self._writer = writer or BackgroundWriter()
        self._best = best
        self._passed_over: set[StoredCheckpoint] = set()

    def restore(self) -> Resumption:
        """Restores the newest intact checkpoint, if there is one.

        Returns:
            Where training goes on from: step 0 where no checkpoint is intact.

        Raises:
            CheckpointError: if the checkpoint is of another model.
            OSError: if a file cannot be read, which says nothing about its content.

        """
        self._writer.wait()
        restored = self._restore_first(list_checkpoints(self._directory))
        if restored is not None:
            return restored
        if self._best is not None:
            self._best.resume([])
        if self._passed_over:
            self._say(f"no checkpoint in {self._directory} is intact: training begins anew")
        return Resumption(0)

    def roll_back(self, before: int) -> Resumption | None:
        """Restores the newest intact checkpoint before a step, and removes those after it.

        A kill in between leaves checkpoints that training goes on from as it did before.

        Args:
            before: a step.

        Returns:
            Where training goes on from; None where there is none, and nothing was changed.

        Raises:
            OSError: if a file cannot be read, which says nothing about its content; or of the save
                before, if that failed.

        """
        self._writer.wait()
        stored = list_checkpoints(self._directory)
        restored = self._restore_first([found for found in stored if found.step < before])
        if restored is not None:
            for found in stored:
                if found.step > restored.step:
                    found.remove()
        return restored

    def _restore_first(self, candidates: Sequence[StoredCheckpoint]) -> Resumption | None:
        for found in candidates:
            problem = damage(found.path) if found.checked else unreadable(found.prefix)
            if problem is not None:
                self._passed_over.add(found)
                self._say(f"{found.path.name} is damaged and passed over: {problem}")
                continue
            try:
                self._checkpoint.read(found.prefix).assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise CheckpointError(
                    f"cannot restore {found.path}: expected a checkpoint of this model, "
                    f"received: {error}"
                ) from error
            resumption = Resumption(self._state.step, checkpoint=found)
            if found.checked:
                resumption = self._take_course(found.path, resumption)
            if self._passed_over:
                self._say(f"training goes on from {found.path.name}")
            return resumption
        return None

    def save(
        self,
        interval: Sequence[Mapping[str, float]] = (),
        alarms: Mapping[str, Any] | None = None,
        *,
        keep_before: int | None = None,
    ) -> None:
        """Begins a checkpoint named by its step, which removes those that it makes superfluous.

        What is trained may change again at once; ``wait`` for the checkpoint itself.

        Args:
            interval: the metrics of steps that are in no mean yet.
            alarms: what they know (``AlarmWatch.state``).
            keep_before: of the checkpoints before this step the newest is kept, too.

        Raises:
            TrainingDivergedError: if something that was trained is no longer finite. The
                checkpoint before is kept, and there is none of this step.
            OSError: if the one before could not be written; as above.

        """
        self._writer.wait()
        step = self._state.step
        check_finite(self._weights, f"step {step}")
        course = {
            "fingerprint": self._fingerprint,
            "interval": [dict(one) for one in interval],
            "alarms": dict(alarms or {}),
        }
        if self._best is not None:
            course[BEST] = self._best.state()
        snapshot = Snapshot(self._checkpoint)

        def write() -> None:
            try:
                self._write(step, snapshot, course)
            finally:
                snapshot.release()
            self._passed_over = {found for found in self._passed_over if found.step != step}
            self._remove_superfluous(step, keep_before)
            if self._best is not None:
                self._best.remove_others()

        self._writer.start(write)

    @property
    def failed(self) -> bool:
        """Whether a save has failed, which the next one, or ``wait``, raises."""
        return self._writer.failed

    def wait(self) -> None:
        """Returns when what was saved is on the disk.

        Raises:
            OSError: if it could not be written, such as on a full disk. The checkpoint before is
                kept, and nothing is left of this one.

        """
        self._writer.wait()

    def close(self) -> None:
        """Returns when nothing is being written, whatever became of it."""
        self._writer.close()

    def _write(self, step: int, snapshot: Snapshot, course: Mapping[str, Any]) -> None:
        target = self._directory / f"ckpt-{step}"
        there = has_checkpoint(self._directory)
        then = "goes on from the checkpoint before it" if there else "trains from the start"
        advice = f"free some space, and the same command {then}"
        # What is there under this name was passed over, or is what training was rolled back to.
        with advising(target, advice), files.new_directory(target, replace=True) as staging:
            snapshot.write(staging, STATE)
            if self._beside is not None and self._beside.is_dir():
                _copy(self._beside, staging / _BESIDE)
            files.write_json(staging / COURSE, course)
            write_checksums(staging)

    def _take_course(self, path: Path, resumption: Resumption) -> Resumption:
        if self._beside is not None:
            if (path / _BESIDE).is_dir():
                with files.new_directory(self._beside, replace=True) as staging:
                    _copy(path / _BESIDE, staging)
            else:
                # Of steps that are made again, and may end otherwise after a rollback.
                files.remove_tree(self._beside)
        course = json.loads((path / COURSE).read_bytes())
        if self._best is not None:
            self._best.resume(course.get(BEST, []))
        return dataclasses.replace(
            resumption, interval=list(course["interval"]), alarms=course.get("alarms", {})
        )

    def _remove_superfluous(self, step: int, keep_before: int | None) -> None:
        stored = list_checkpoints(self._directory)
        good = [found for found in stored if found not in self._passed_over]
        kept = good[: self._keep]
        if keep_before is not None:
            # Of a training that has just begun, its first weights.
            kept += [found for found in good if found.step < max(1, keep_before)][:1]
        for found in good:
            if found not in kept:
                found.remove()
        for found in self._passed_over:
            if found.step < step:
                found.remove()


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        files.write_bytes(target / path.name, path.read_bytes())
