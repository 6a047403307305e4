"""Checkpoints for an exact resume, and the description to rebuild an encoder from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from twofold.components import files
from twofold.components.errors import CheckpointError
from twofold.components.training.step import TrainState

_DESCRIPTION = "model.json"
_FINAL = "final"


def _trackables(state: TrainState) -> dict[str, Any]:
    objects: dict[str, Any] = {
        **state.models,
        **state.memory,
        **state.extra,
        "optimizer": state.optimizer,
        "steps": state.steps,
    }
    if state.probe is not None:
        objects |= {"probe": state.probe.head, "probe_optimizer": state.probe.optimizer}
    if state.average is not None:
        objects["average"] = state.average
    return objects


class Checkpoints:
    """The checkpoints of one training run.

    The state file that names the newest checkpoint is written after the checkpoint itself, so that
    a kill at any moment leaves the one before in force.

    Args:
        directory: created when missing.
        state: built (``TrainState.build``), in its strategy's scope.
        keep: how many of the newest to keep.

    """

    def __init__(self, directory: Path, state: TrainState, keep: int = 2) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._state = state
        self._checkpoint = tf.train.Checkpoint(**_trackables(state))
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(directory), max_to_keep=keep
        )

    def restore(self) -> int:
        """Restores the newest checkpoint, if there is one.

        Returns:
            The step that training goes on from; 0 when there was no checkpoint.

        Raises:
            CheckpointError: if the checkpoint is damaged or is of another model.

        """
        path = self._manager.latest_checkpoint
        if path is None:
            return 0
        try:
            self._checkpoint.restore(path).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise CheckpointError(
                f"cannot restore {path}: expected a whole checkpoint of this model, "
                f"received: {error}"
            ) from error
        return self._state.step

    def save(self) -> None:
        """Writes a checkpoint named by its step."""
        self._manager.save(checkpoint_number=self._state.step)


def write_weights(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Writes networks' weights alone, all or nothing, in place of what was there.

    Args:
        directory: is replaced. A kill at any moment leaves the weights before or the new ones for
            ``read_weights``.
        models: the networks by name.

    """
    with files.new_directory(directory, replace=True) as staging:
        tf.train.Checkpoint(**models).write(str(staging / "weights"))


def read_weights(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Gives networks the weights that ``write_weights`` wrote; others in the files are passed over.

    Raises:
        CheckpointError: if there are none, or they do not fit.

    """
    files.restore_directory(directory)
    if not (directory / "weights.index").exists():
        raise CheckpointError(f"{directory} holds no finished weights: expected weights.index")
    try:
        status = tf.train.Checkpoint(**models).read(str(directory / "weights"))
        status.assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise CheckpointError(
            f"the weights in {directory} do not fit {', '.join(models)}: {error}"
        ) from error


def write_final(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Writes the weights that training ended with into a checkpoint directory."""
    write_weights(directory / _FINAL, models)


def read_final(directory: Path, models: Mapping[str, keras.Model]) -> None:
    """Gives networks the weights that training ended with; see ``read_weights``."""
    read_weights(directory / _FINAL, models)


def is_final(directory: Path) -> bool:
    """Tells whether training in a checkpoint directory has ended."""
    return (directory / _FINAL / "weights.index").exists()


def write_description(directory: Path, description: Mapping[str, Any]) -> None:
    """Writes ``model.json``: what to rebuild the networks from (plain JSON values)."""
    directory.mkdir(parents=True, exist_ok=True)
    files.write_json(directory / _DESCRIPTION, description)


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
    encoder = build(description)
    read_final(directory, {"encoder": encoder})
    return encoder, description
