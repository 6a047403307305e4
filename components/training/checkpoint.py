"""Checkpoints for an exact resume, and the description to rebuild an encoder from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from twofold.components import files
from twofold.components.errors import CheckpointError, TrainingDivergedError
from twofold.components.training.resuming.checkpoint_files import (
    CHECKSUMS,
    COURSE,
    StoredCheckpoint,
    damage,
    list_checkpoints,
    remove_remains,
    write_checksums,
)
from twofold.components.training.resuming.checkpoint_store import Resumption
from twofold.components.training.step import TrainState
from twofold.components.write_errors import advising

_DESCRIPTION = "model.json"
_FINAL = "final"
_WEIGHTS = "weights"
# Of what a checkpoint holds a copy of.
_BESIDE = "beside"


class Checkpoints:
    """The checkpoints of one training run.

    Each appears whole or not at all, flushed to the disk, with checksums; the newest intact one is
    found by listing the directory.

    Args:
        directory: created when missing; what killed saves left in it is removed.
        state: built (``TrainState.build``), in its strategy's scope.
        keep: how many of the newest to keep.
        fingerprint: of what the training comes from, recorded in each checkpoint.
        beside: a directory of weights (``write_weights``) that belongs to the course of training: a
            checkpoint holds a copy of it, which is put back with the checkpoint.
        say: told which checkpoints are passed over, and why.

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
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        remove_remains(directory)
        self._directory = directory
        self._state = state
        self._checkpoint = tf.train.Checkpoint(**state.trackables)
        self._keep = keep
        self._fingerprint = fingerprint
        self._beside = beside
        self._say = say
        self._passed_over: set[StoredCheckpoint] = set()

    def restore(self) -> Resumption:
        """Restores the newest intact checkpoint, if there is one.

        Returns:
            Where training goes on from: step 0 where no checkpoint is intact.

        Raises:
            CheckpointError: if the checkpoint is of another model.
            OSError: if a file cannot be read, which says nothing about its content.

        """
        restored = self._restore_first(list_checkpoints(self._directory))
        if restored is not None:
            return restored
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
            OSError: if a file cannot be read, which says nothing about its content.

        """
        stored = list_checkpoints(self._directory)
        restored = self._restore_first([found for found in stored if found.step < before])
        if restored is not None:
            for found in stored:
                if found.step > restored.step:
                    found.remove()
        return restored

    def _restore_first(self, candidates: Sequence[StoredCheckpoint]) -> Resumption | None:
        for found in candidates:
            problem = damage(found.path) if found.checked else _unreadable(found.prefix)
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
        """Writes a checkpoint named by its step, and removes those that it makes superfluous.

        Args:
            interval: the metrics of steps that are in no mean yet.
            alarms: what they know (``AlarmWatch.state``).
            keep_before: of the checkpoints before this step the newest is kept, too.

        Raises:
            TrainingDivergedError: if something that was trained is no longer finite. The
                checkpoint before is kept, and this one does not count.
            OSError: if it cannot be written, such as on a full disk; as above.

        """
        step = self._state.step
        target = self._directory / f"ckpt-{step}"
        advice = "free some space, and the same command goes on from the checkpoint before it"
        # What is there under this name was passed over, or is what training was rolled back to.
        with advising(target, advice), files.new_directory(target, replace=True) as staging:
            prefix = str(staging / "state")
            self._checkpoint.write(prefix)
            _check_finite(prefix, f"step {step}", but=self._state.extra)
            if self._beside is not None and self._beside.is_dir():
                _copy(self._beside, staging / _BESIDE)
            course = {
                "fingerprint": self._fingerprint,
                "interval": list(interval),
                "alarms": dict(alarms or {}),
            }
            files.write_json(staging / COURSE, course)
            write_checksums(staging)
        self._passed_over = {found for found in self._passed_over if found.step != step}
        self._remove_superfluous(step, keep_before)

    def _take_course(self, path: Path, resumption: Resumption) -> Resumption:
        if self._beside is not None:
            if (path / _BESIDE).is_dir():
                with files.new_directory(self._beside, replace=True) as staging:
                    _copy(path / _BESIDE, staging)
            else:
                # Of steps that are made again, and may end otherwise after a rollback.
                files.remove_tree(self._beside)
        course = json.loads((path / COURSE).read_bytes())
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


def _unreadable(prefix: str) -> str | None:
    """Says what is wrong with TensorFlow's files of this prefix, whose checksums are its own."""
    try:
        for _ in _tensors(prefix):
            pass
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        return f"{prefix}: {' '.join(str(error).split())}"
    return None


def _tensors(prefix: str) -> Iterator[tuple[str, tf.DType, Any]]:
    reader = tf.train.load_checkpoint(prefix)
    for name, dtype in sorted(reader.get_variable_to_dtype_map().items()):
        yield name, dtype, reader.get_tensor(name)


def _check_finite(prefix: str, of: str, but: Container[str] = ()) -> None:
    """Reads written weights back, and refuses those that are not finite.

    Args:
        prefix: of TensorFlow's files.
        of: what they are the weights of, for the message.
        but: objects that may hold others, as monitors do before the first epoch.

    Raises:
        TrainingDivergedError: naming one that is not.

    """
    for name, dtype, values in _tensors(prefix):
        if name.partition("/")[0] in but or not dtype.is_floating:
            continue
        if not bool(tf.reduce_all(tf.math.is_finite(values))):
            raise TrainingDivergedError(
                f"the weights of {of} are no longer finite, and not kept "
                f"({name.partition('/.ATTRIBUTES')[0]}): expected finite numbers; a lower "
                f"training.learning_rate may help"
            )


def _copy(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir()):
        files.write_bytes(target / path.name, path.read_bytes())


def write_weights(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Writes networks' weights alone, all or nothing, in place of what was there.

    Args:
        directory: is replaced. A kill at any moment leaves the weights before or the new ones for
            ``read_weights``.
        models: the networks by name.

    Raises:
        TrainingDivergedError: if a weight is not finite; what was there is kept.
        OSError: if they cannot be written, such as on a full disk; as above.

    """
    advice = "free some space, and run the same command again"
    with advising(directory, advice), files.new_directory(directory, replace=True) as staging:
        prefix = str(staging / _WEIGHTS)
        tf.train.Checkpoint(**models).write(prefix)
        _check_finite(prefix, str(directory))
        write_checksums(staging)


def read_weights(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Gives networks the weights that ``write_weights`` wrote; others in the files are passed over.

    Raises:
        CheckpointError: if there are none, or they are damaged or do not fit.

    """
    files.restore_directory(directory)
    if not (directory / f"{_WEIGHTS}.index").exists():
        raise CheckpointError(f"{directory} holds no finished weights: expected weights.index")
    if (problem := weights_damage(directory)) is not None:
        raise CheckpointError(
            f"{problem}: run the command that trained them again, which makes them anew from the "
            f"last checkpoint"
        )
    try:
        status = tf.train.Checkpoint(**models).read(str(directory / _WEIGHTS))
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise CheckpointError(
            f"the weights in {directory} do not fit {', '.join(models)}: {error}"
        ) from error


def weights_damage(directory: Path) -> str | None:
    """Says what is damaged of weights that ``write_weights`` wrote, naming the file."""
    if (directory / CHECKSUMS).exists():
        return damage(directory)
    return _unreadable(str(directory / _WEIGHTS))


def final_directory(directory: Path) -> Path:
    """Returns where a checkpoint directory has the weights that training ended with."""
    return directory / _FINAL


def write_final(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Writes the weights that training ended with into a checkpoint directory."""
    write_weights(directory / _FINAL, models)


def read_final(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Gives networks the weights that training ended with; see ``read_weights``."""
    read_weights(directory / _FINAL, models)


def is_final(directory: Path, say: Callable[[str], None] = lambda line: None) -> bool:
    """Tells whether training in a checkpoint directory has ended, with weights that are intact.

    Args:
        directory: of the training.
        say: told what is damaged.

    """
    final = directory / _FINAL
    files.restore_directory(final)
    if not final.is_dir():
        return False
    if (problem := weights_damage(final)) is not None:
        say(f"the finished weights are damaged and made again: {problem}")
    return problem is None


def write_description(directory: Path, description: Mapping[str, Any]) -> None:
    """Writes ``model.json``: what to rebuild the networks from (plain JSON values)."""
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(directory / _DESCRIPTION, description)


def read_description(directory: Path) -> dict[str, Any]:
    """Reads what ``write_description`` wrote.

    Raises:
        CheckpointError: if the directory holds no description, or a damaged one.

    """
    description_path = directory / _DESCRIPTION
    try:
        description = json.loads(description_path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{directory} holds no {_DESCRIPTION}: expected a checkpoint directory"
        ) from error
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{description_path} is damaged: expected JSON, received {error}"
        ) from error
    return dict(description)


def load_encoder(
    directory: Path, build: Callable[[Mapping[str, Any]], keras.Model]
) -> tuple[keras.Model, dict[str, Any]]:
    """Rebuilds the encoder of a checkpoint directory with the weights that training ended with.

    Args:
        directory: holds ``model.json`` and what ``write_final`` wrote.
        build: from the description to an encoder with fresh weights.

    Returns:
        The encoder and the description.

    Raises:
        CheckpointError: if the directory holds no description or no finished weights, or the
            weights do not fit.

    """
    description = read_description(directory)
    encoder = build(description)
    read_final(directory, {"encoder": encoder})
    return encoder, description
