"""Training loop: steps, checkpoints, measurements; resumable at any checkpoint."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import tensorflow as tf

from twofold.components.errors import TrainingDivergedError
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.step import Batch, TrainState, TrainStep


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How long to train and how often to do what.

    Attributes:
        steps: updates in all.
        steps_per_epoch: updates an epoch.
        log_every: steps over which metrics are averaged.
        checkpoint_every: steps between checkpoints; the last step always has one.
        checkpoint_seconds: after which there is one anyway, at the end of a step.

    """

    steps: int
    steps_per_epoch: int
    log_every: int
    checkpoint_every: int
    checkpoint_seconds: float = math.inf


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """What the loop tells others.

    Attributes:
        metrics: called with the step and the means since the last call.
        progress: called with the step after each one.
        saved: called after each checkpoint.

    """

    metrics: Callable[[int, Mapping[str, float]], None]
    progress: Callable[[int], None]
    saved: Callable[[], None] = lambda: None


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
    stop: StopRequest | None = None,
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
        stop: whether to end before the last step, with a checkpoint.

    Returns:
        The metrics of the last interval; empty when there was nothing left to do.

    Raises:
        TrainingDivergedError: if the loss or a weight becomes infinite or no number. The checkpoint
            before it is kept.
        Interruption: if it was told to end.

    """
    stop = stop or StopRequest()
    start = checkpoints.restore()
    first = start.step
    callbacks.progress(first)
    if first >= settings.steps or (epoch_end is not None and epoch_end.stopped):
        return {}
    interval: list[Mapping[str, tf.Tensor | float]] = list(start.interval)
    means: dict[str, float] = {}
    batches = iter(batches_from(first))
    saved_at = time.monotonic()

    def advance(step: int) -> bool:
        """Makes a step and what is due after it; tells whether training goes on."""
        nonlocal means, saved_at
        interval.append(train_step(next(batches)))
        epoch_ends = step % settings.steps_per_epoch == 0
        last = step == settings.steps
        # Not at checkpoints, which depend on the clock: the curves are those of the steps alone.
        if step % settings.log_every == 0 or epoch_ends or last:
            means = _means(interval)
            interval.clear()
            _check_finite(means["loss"], step)
            if epoch_end is not None and epoch_ends:
                means |= epoch_end()
            callbacks.metrics(step, means)
        ended = last or (epoch_end is not None and epoch_end.stopped)
        late = time.monotonic() - saved_at >= settings.checkpoint_seconds
        if ended or late or stop.requested or step % settings.checkpoint_every == 0:
            pending = [{name: float(value) for name, value in one.items()} for one in interval]
            for metrics in pending:
                _check_finite(metrics["loss"], step)
            checkpoints.save(pending)
            saved_at = time.monotonic()
            callbacks.saved()
            if stop.requested:
                stop.end(step)
        callbacks.progress(step)
        return not ended

    # The first step takes long to compile, and leaves nothing yet that would be worth a checkpoint.
    going_on = advance(first + 1)
    with stop.holding():
        for step in range(first + 2, settings.steps + 1):
            if not going_on:
                break
            going_on = advance(step)
    return means


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"the loss is {loss} at step {step}: expected a finite number; a lower "
            f"training.learning_rate may help"
        )


def _means(interval: list[Mapping[str, tf.Tensor | float]]) -> dict[str, float]:
    return {
        name: math.fsum(float(metrics[name]) for metrics in interval) / len(interval)
        for name in interval[0]
    }
