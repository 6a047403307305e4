"""Event writer of TensorBoard: scalars and pictures of one run, as they come.

TensorBoard reads the files of a directory one after the other, so that whoever writes beside a
training that goes on would hide the rest of its curves: there is one writer at a time. Summaries
are made without TensorFlow, of whose operations each would take as long as many steps of training.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.util.tensor_util import make_tensor_proto

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
        self.message(_together(scalar_pb(tag, tags[tag], describe(tag)) for tag in tags), step)
        if images is not None:
            seen = "; over the images seen, each as often as it was"
            over_images = (
                scalar_pb(f"{VERSUS_IMAGES}/{tag}", value, f"{describe(tag)}{seen}")
                for tag, value in tags.items()
                if tag.partition("/")[0] in LEARNING
            )
            self.message(_together(over_images), images)
        self.flush()

    def scalar(self, step: int, tag: str, value: float, description: str = "") -> None:
        """Writes a point of what is no curve of training."""
        self.message(scalar_pb(tag, value, description), step)

    def histogram(self, step: int, tag: str, values: np.ndarray, description: str = "") -> None:
        """Writes how values are spread, those aside that are no finite numbers."""
        self.message(histogram_pb(tag, values[np.isfinite(values)], None, description), step)

    def text(self, step: int, name: str, text: str) -> None:
        """Writes a text, which may be Markdown, and flushes."""
        self.message(text_pb(name, text), step)
        self.flush()

    def pixels(self, step: int, tag: str, image: np.ndarray, description: str = "") -> None:
        """Writes a picture, uint8 [H, W, 3]."""
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        self._png(step, tag, file.getvalue(), description)

    def image(self, step: int, name: str, path: Path) -> None:
        """Writes a PNG file as a picture."""
        self._png(step, name, path.read_bytes())
        self.flush()

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

    def _png(self, step: int, tag: str, png: bytes, description: str = "") -> None:
        with Image.open(io.BytesIO(png)) as opened:
            width, height = opened.size
        summary = summary_pb2.Summary()
        content = np.array([str(width).encode(), str(height).encode(), png], object)
        summary.value.add(
            tag=tag,
            metadata=create_summary_metadata(None, description),
            tensor=make_tensor_proto(content, dtype=tf.string),
        )
        self.message(summary, step)


def _together(summaries: Iterable[summary_pb2.Summary]) -> summary_pb2.Summary:
    """Puts summaries of one step into one."""
    whole = summary_pb2.Summary()
    for summary in summaries:
        whole.value.extend(summary.value)
    return whole
