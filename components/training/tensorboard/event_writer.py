"""Event writer of TensorBoard: scalars and pictures of one run, as they come.

TensorBoard reads the files of a directory one after the other, so that whoever writes beside a
training that goes on would hide the rest of its curves: there is one writer at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2

from twofold.components.training.tensorboard.scalar_tags import (
    LEARNING,
    VERSUS_IMAGES,
    describe,
    tag_of,
)


class TensorBoardWriter:
    """Writes scalars and pictures of one run.

    Args:
        directory: of the event files.
        part: what is written, which replaces what an earlier writer of this name wrote; without
            one, a file is added, whose points override those of the steps that it repeats.

    """

    def __init__(self, directory: Path, part: str | None = None) -> None:
        self._replaced = [] if part is None else sorted(directory.glob(f"*tfevents*.{part}"))
        suffix = None if part is None else f".{part}"
        self._writer = tf.summary.create_file_writer(str(directory), filename_suffix=suffix)

    def scalars(self, step: int, values: Mapping[str, float], images: int | None = None) -> None:
        """Writes a point of each curve, and flushes so that a watcher sees it.

        Args:
            step: updates made.
            values: by the names of curves.
            images: seen so far, for the curves over them, which need it.

        """
        tags = {tag_of(curve): value for curve, value in values.items()}
        with self._writer.as_default(step=step):
            for tag, value in tags.items():
                tf.summary.scalar(tag, value, description=describe(tag))
        if images is not None:
            with self._writer.as_default(step=images):
                for tag, value in tags.items():
                    if tag.partition("/")[0] in LEARNING:
                        text = f"{describe(tag)}; over the images seen, each as often as it was"
                        tf.summary.scalar(f"{VERSUS_IMAGES}/{tag}", value, description=text)
        self._writer.flush()

    def scalar(self, step: int, tag: str, value: float, description: str = "") -> None:
        """Writes a point of what is no curve of training."""
        with self._writer.as_default(step=step):
            tf.summary.scalar(tag, value, description=description)

    def histogram(self, step: int, tag: str, values: np.ndarray, description: str = "") -> None:
        """Writes how values are spread."""
        with self._writer.as_default(step=step):
            tf.summary.histogram(tag, values, description=description)

    def text(self, step: int, name: str, text: str) -> None:
        """Writes a text, which may be Markdown, and flushes."""
        with self._writer.as_default(step=step):
            tf.summary.text(name, text)
        self._writer.flush()

    def pixels(self, step: int, tag: str, image: np.ndarray, description: str = "") -> None:
        """Writes a picture, uint8 [H, W, C]."""
        with self._writer.as_default(step=step):
            tf.summary.image(tag, image[None], description=description)

    def image(self, step: int, name: str, path: Path) -> None:
        """Writes a PNG file as a picture."""
        picture = tf.io.decode_png(path.read_bytes(), channels=3)
        with self._writer.as_default(step=step):
            tf.summary.image(name, picture[None])
        self._writer.flush()

    def graph(self, graph: tf.Graph) -> None:
        """Writes a graph of operations."""
        with self._writer.as_default(step=0):
            tf.summary.graph(graph)

    def message(self, summary: summary_pb2.Summary, step: int = 0) -> None:
        """Writes a summary of a plugin as it is."""
        with self._writer.as_default(step=step):
            tf.summary.experimental.write_raw_pb(summary.SerializeToString())

    def flush(self) -> None:
        """Lets a watcher see what was written."""
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the event file; only then what it replaces is deleted."""
        self._writer.close()
        for path in self._replaced:
            path.unlink(missing_ok=True)
