"""Training board: what TensorBoard shows of a training besides its curves, and when.

Nothing here changes a weight, a checkpoint or a metric: weights are read, and images embedded in
inference mode. When something is shown is a function of the step alone, so that a resumed training
shows what one without interruption does.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.split import Split
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import Method
from twofold.components.training.settings import TrainingSettings
from twofold.components.training.several_steps import TrainSteps
from twofold.components.training.step import Batch, TrainStep
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.components.training.tensorboard.network_graph import network_graph
from twofold.components.training.tensorboard.picture_grids import draw_matrix, draw_picture
from twofold.components.training.tensorboard.profiler import Profiler
from twofold.components.training.tensorboard.weight_norms import WeightNorms, Weights
from twofold.pipeline.training.monitoring.online_measures import OnlineMeasures

# An image in inference mode costs a sixth of one in training, of which two views go forward and,
# at twice that, backward; a hundredth of the training is for snapshots.
_FORWARD_ONLY = 6
_SHARE = 0.01
_FEWEST_IMAGES = 48
# Values of a weight, or of the features, that a histogram is of.
_COUNTED = 1 << 14
_DRAWN_IMAGES = 8


@dataclasses.dataclass(frozen=True)
class WatchedImages:
    """Images that snapshots are of.

    Attributes:
        train: what is trained on.
        held_out: what trains nothing, or None.
        seed: chooses some of them.
        finished: gives the networks, for a while, the weights that training would end with.

    """

    train: Split
    held_out: Split | None
    seed: int
    finished: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext


class TrainingBoard:
    """Shows the course of a training.

    Args:
        writer: of its curves.
        directory: of them.
        method: in training.
        training: its settings.
        loop: its lengths.
        images: to measure and to draw; None: snapshots are of the weights alone.

    """

    def __init__(
        self,
        writer: TensorBoardWriter,
        directory: Path,
        method: Method,
        training: TrainingSettings,
        loop: LoopSettings,
        images: WatchedImages | None,
    ) -> None:
        self._writer, self._method, self._loop = writer, method, loop
        settings, batch_size = training.tensorboard, training.batch_size
        self._snapshots = min(settings.snapshots, loop.steps)
        self._profiler = Profiler(directory, training.profile_steps)
        self._norms = WeightNorms(method.models)
        self._measured: dict[str, float] = {}
        self._made = 0
        self._images, self._measures = images, None
        if images is not None and self._snapshots:
            affordable = loop.steps * batch_size * _FORWARD_ONLY * _SHARE / self._snapshots
            self._measures = OnlineMeasures(
                method.models["encoder"],
                images.train,
                images.held_out,
                min(settings.images, max(_FEWEST_IMAGES, int(affordable))),
                images.seed,
            )

    def begin(self, step: int) -> None:
        """Notes the step that training goes on from."""
        self._made = step

    def watch(self, train_step: TrainStep) -> TrainStep:
        """Lets a step measure what its update does, where that will be shown."""

        def step(batch: Batch) -> dict[str, tf.Tensor]:
            with self._watching(1):
                return train_step(batch)

        return step

    def watch_several(self, train_steps: TrainSteps) -> TrainSteps:
        """Does the same where a call makes several steps; those to be shown are alone in theirs."""

        def steps(batches: Sequence[Batch]) -> Mapping[str, tf.Tensor]:
            with self._watching(len(batches)):
                return train_steps(batches)

        return steps

    @contextlib.contextmanager
    def _watching(self, steps: int) -> Iterator[None]:
        self._made += steps
        shown = self._loop.reports(self._made)
        before: Weights = self._norms.before_update() if shown else []
        with self._profiler.of_step(self._made):
            yield
        if shown:
            self._measured = self._norms.after_update(before)

    def show(self, step: int) -> None:
        """Shows what is due at the end of an interval."""
        for tag, value in self._measured.items():
            self._writer.scalar(step, tag, value, _DESCRIPTIONS[tag.split("/")[1]])
        self._measured = {}
        if self._takes_snapshot(step):
            try:
                self._take_snapshot(step)
            except ValueError as error:
                # Of weights that are no numbers any more; what becomes of them is not decided here.
                self._writer.text(step, "snapshots/left_out", str(error))
        self._writer.flush()

    def close(self) -> None:
        """Ends a profile that an interruption cut short."""
        self._profiler.close()

    def _takes_snapshot(self, step: int) -> bool:
        """Tells whether a snapshot fell due since the interval before."""
        if not self._snapshots:
            return False
        loop = self._loop
        before = max(
            (step - 1) // every * every for every in (loop.log_every, loop.steps_per_epoch)
        )
        due = step * self._snapshots // loop.steps
        return due > before * self._snapshots // loop.steps

    def _take_snapshot(self, step: int) -> None:
        for name, model in sorted(self._method.models.items()):
            for variable in model.trainable_variables:
                values = _some(tf.convert_to_tensor(variable.value).numpy())
                path = variable.path.removeprefix(f"{model.name}/")
                self._writer.histogram(step, f"weights/{name}/{path}", values)
        if self._images is not None and self._measures is not None:
            with self._images.finished():
                self._show_images(step, self._images, self._measures)

    def _show_images(self, step: int, images: WatchedImages, measures: OnlineMeasures) -> None:
        measured = measures()
        for tag, (value, text) in measured.scalars.items():
            self._writer.scalar(step, tag, value, text)
        self._writer.histogram(
            step, "features", _some(measured.features), "of the encoder, of a few images"
        )
        for tag, (matrix, text) in measured.matrices.items():
            self._writer.pixels(step, tag, draw_matrix(matrix), text)
        shown = images.held_out or images.train
        pictures = self._method.pictures(np.asarray(shown.images[:_DRAWN_IMAGES]))
        for name, picture in pictures.items():
            self._writer.pixels(step, f"pictures/{name}", draw_picture(picture), picture.name)


def show_networks(directory: Path, method: Method, image_shape: tuple[int, int, int]) -> None:
    """Writes the graph of a method's networks, before its curves."""
    writer = TensorBoardWriter(directory, part="graph")
    writer.graph(network_graph(method.models, image_shape))
    writer.close()


_DESCRIPTIONS = {
    "weight_norm": "L2 norm of the network's trained weights",
    "update_to_weight": "L2 norm of the interval's last update over that of the weights before it; "
    "about 0.001 is usual",
}


def _some(values: np.ndarray) -> np.ndarray:
    """Takes every n-th of many values."""
    flat = values.reshape(-1)
    return flat[:: max(1, len(flat) // _COUNTED)]
