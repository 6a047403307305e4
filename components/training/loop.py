"""Training loop: steps, checkpoints, measurements; resumable at any checkpoint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import tensorflow as tf

from twofold.components.errors import TrainingDivergedError
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.step import Batch, TrainState, TrainStep


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How long to train and how often to do what.

    Attributes:
        steps: updates in all.
        steps_per_epoch: updates an epoch.
        log_every: steps over which metrics are averaged.
        checkpoint_every: steps between checkpoints; the last step always has one.

    """

    steps: int
    steps_per_epoch: int
    log_every: int
    checkpoint_every: int


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """What the loop tells others.

    Attributes:
        metrics: called with the step and the means since the last call.
        progress: called with the step after each one.

    """

    metrics: Callable[[int, Mapping[str, float]], None]
    progress: Callable[[int], None]


class EpochEnd(Protocol):
    """What happens after each epoch; see ``twofold.components.training.validation``."""

    @property
    def stopped(self) -> bool:
        """Whether training has been told to stop, now or before it was resumed."""

    def __call__(self) -> Mapping[str, float]:
        """Measures what was trained, acts on it, and returns the metrics."""


def run_loop(
    state: TrainState,
    train_step: TrainStep,
    batches_from: Callable[[int], Iterable[Batch]],
    checkpoints: Checkpoints,
    settings: LoopSettings,
    callbacks: Callbacks,
    epoch_end: EpochEnd | None = None,
) -> dict[str, float]:
    """Trains from the newest checkpoint to the last step.

    The order of images, the views and the learning rate are functions of the step alone, and a
    checkpoint holds every variable, so that a run that was killed and resumed equals one that was
    not.

    Args:
        state: what is trained.
        train_step: one update.
        batches_from: the batches from a step on.
        checkpoints: of this state.
        settings: lengths.
        callbacks: listeners.
        epoch_end: measures after each epoch and may end the training early.

    Returns:
        The metrics of the last interval; empty when there was nothing left to do.

    Raises:
        TrainingDivergedError: if the loss becomes infinite or no number. The checkpoint before it
            is kept.

    """
    first = checkpoints.restore()
    callbacks.progress(first)
    if first >= settings.steps or (epoch_end is not None and epoch_end.stopped):
        return {}
    interval: list[dict[str, tf.Tensor]] = []
    means: dict[str, float] = {}
    batches = iter(batches_from(first))
    for step in range(first + 1, settings.steps + 1):
        interval.append(train_step(next(batches)))
        epoch_ends = step % settings.steps_per_epoch == 0
        checkpoint_due = step % settings.checkpoint_every == 0 or step == settings.steps
        # Averages end at every checkpoint, so that none spans a resume.
        if step % settings.log_every == 0 or epoch_ends or checkpoint_due:
            means = _means(interval)
            interval.clear()
            if not math.isfinite(means["loss"]):
                raise TrainingDivergedError(
                    f"the loss is {means['loss']} at step {step}: expected a finite number; "
                    f"a lower training.learning_rate may help"
                )
            if epoch_end is not None and epoch_ends:
                means |= epoch_end()
            callbacks.metrics(step, means)
        stopped = epoch_end is not None and epoch_end.stopped
        if checkpoint_due or stopped:
            checkpoints.save()
        callbacks.progress(step)
        if stopped:
            break
    return means


def _means(interval: list[dict[str, tf.Tensor]]) -> dict[str, float]:
    return {
        name: math.fsum(float(metrics[name]) for metrics in interval) / len(interval)
        for name in interval[0]
    }
