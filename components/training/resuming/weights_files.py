"""Weights of networks on disk, checked, and the description to rebuild an encoder from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from twofold.components import files
from twofold.components.errors import CheckpointError
from twofold.components.training.alarms.finite_weights import check_finite
from twofold.components.training.resuming.background_writer import BackgroundWriter
from twofold.components.training.resuming.checkpoint_files import (
    CHECKSUMS,
    damage,
    write_checksums,
)
from twofold.components.training.snapshot import Snapshot
from twofold.components.write_errors import advising

_DESCRIPTION = "model.json"
_FINAL = "final"
_WEIGHTS = "weights"


def write_weights(
    directory: Path, models: Mapping[str, keras.Model], writer: BackgroundWriter | None = None
) -> None:
    """Writes networks' weights alone, all or nothing, in place of what was there.

    Args:
        directory: is replaced. A kill at any moment leaves the weights before or the new ones for
            ``read_weights``.
        models: the networks by name.
        writer: writes them as they are now while they may change again; None to return when they
            are on the disk.

    Raises:
        TrainingDivergedError: if a weight is not finite; what was there is kept.
        OSError: if they cannot be written, such as on a full disk; as above. With a writer, of
            what it wrote before.

    """
    if writer is not None:
        writer.wait()
    weights = {f"{name}: {one.path}": one for name in models for one in models[name].variables}
    check_finite(
        {name: one for name, one in weights.items() if tf.as_dtype(one.dtype).is_floating},
        str(directory),
    )
    snapshot = Snapshot(tf.train.Checkpoint(**models))

    def write() -> None:
        advice = "free some space, and run the same command again"
        try:
            with advising(directory, advice), files.new_directory(directory, replace=True) as new:
                snapshot.write(new, _WEIGHTS)
                write_checksums(new)
        finally:
            snapshot.release()

    if writer is None:
        write()
    else:
        writer.start(write)


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
    return unreadable(str(directory / _WEIGHTS))


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
        directory: holds ``model.json`` and what ``write_final`` wrote; or one of the best epochs
            below it.
        build: from the description to an encoder with fresh weights.

    Returns:
        The encoder and the description.

    Raises:
        CheckpointError: if the directory holds no description or no finished weights, or the
            weights do not fit.

    """
    is_best = (directory / f"{_WEIGHTS}.index").is_file()
    description = read_description(directory.parent if is_best else directory)
    encoder = build(description)
    read_weights(directory if is_best else directory / _FINAL, {"encoder": encoder})
    return encoder, description


def unreadable(prefix: str) -> str | None:
    """Says what is wrong with TensorFlow's files of this prefix, whose checksums are its own."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_dtype_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, IndexError, RuntimeError) as error:
        return f"{prefix}: {' '.join(str(error).split())}"
    return None
