"""Snapshot of variables in memory, as TensorFlow's files, for a disk that may be slow to take them.

TensorFlow has a file system in memory, ``ram://``, and writes a checkpoint there as it does on a
disk, byte by byte.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import tensorflow as tf

from twofold.components import files

_COPIED_AT_ONCE = 4 << 20


class Snapshot:
    """The values of all that a checkpoint holds, as they are when it is made.

    What is trained may change as soon as it is made. It takes as much memory as the checkpoint,
    until ``release``.

    Args:
        checkpoint: what is held.

    """

    def __init__(self, checkpoint: tf.train.Checkpoint) -> None:
        self._folder = f"ram://{uuid.uuid4().hex}"
        checkpoint.write(f"{self._folder}/values")

    def write(self, directory: Path, name: str) -> None:
        """Writes TensorFlow's files; may be called in another thread.

        Args:
            directory: a local one, which exists.
            name: what the files' names begin with.

        Raises:
            OSError: if they cannot be written, such as on a full disk.

        """
        for held in sorted(tf.io.gfile.listdir(self._folder)):
            target = directory / held.replace("values", name, 1)
            with (
                tf.io.gfile.GFile(f"{self._folder}/{held}", "rb") as source,
                files.new_file(target) as file,
            ):
                while chunk := source.read(_COPIED_AT_ONCE):
                    file.write(chunk)

    def release(self) -> None:
        """Gives the memory back."""
        with contextlib.suppress(tf.errors.NotFoundError):
            tf.io.gfile.rmtree(self._folder)
