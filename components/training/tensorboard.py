"""TensorBoard logs of training, as they are written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf


class TensorBoardWriter:
    """Writes scalars and pictures of one run.

    Args:
        directory: of the event files; a resumed run adds a file and overrides the steps it repeats.

    """

    def __init__(self, directory: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(directory))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one value for each name, and flushes so that a watcher sees it."""
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def image(self, step: int, name: str, path: Path) -> None:
        """Writes a PNG file as a picture."""
        picture = tf.io.decode_png(path.read_bytes(), channels=3)
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None])
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the event file."""
        self._writer.close()
