"""Training loop: steps, checkpoints, measurements; resumable at any checkpoint."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from twofold.components.errors import AlarmError, TrainingDivergedError
from twofold.components.training.alarms.alarm_watch import Alarm, AlarmWatch
from twofold.components.training.alarms.finite_weights import build_non_finite_search
from twofold.components.training.alarms.rules import name_terms
from twofold.components.training.resuming.checkpoint_store import CheckpointStore, Resumption
from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.several_steps import TrainSteps
from twofold.components.training.step import Batch, TrainState, TrainStep
from twofold.components.training.workers.agreement import Agreement


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """How long to train and how often to do what.

    Attributes:
        steps: updates in all.
        steps_per_epoch: updates an epoch.
        log_every: steps over which metrics are averaged.
        checkpoint_every: steps between checkpoints; the last step always has one.
        checkpoint_seconds: after which there is one anyway, at the end of a call.
        steps_per_call: the most steps that are made in one call. Whatever is due after a step is
            done after the same one with any number.
        alone: steps that are made in a call of their own.

    """

    steps: int
    steps_per_epoch: int
    log_every: int
    checkpoint_every: int
    checkpoint_seconds: float = math.inf
    steps_per_call: int = 1
    alone: range = range(0)

    def reports(self, step: int) -> bool:
        """Tells whether metrics are due after a step."""
        return step % self.log_every == 0 or step % self.steps_per_epoch == 0 or step == self.steps

    def saves(self, step: int) -> bool:
        """Tells whether a checkpoint is due after a step, whatever the clock says."""
        return step % self.checkpoint_every == 0 or step == self.steps

    def steps_from(self, step: int) -> int:
        """Returns how many steps the call makes that begins with a step.

        One that metrics are due after is alone: its learning rate is read before it.
        """

        def is_alone(one: int) -> bool:
            return self.reports(one) or one in self.alone

        count = 1
        while (
            count < self.steps_per_call
            and not is_alone(step)
            and not self.saves(step + count - 1)
            and not is_alone(step + count)
        ):
            count += 1
        return count


@dataclasses.dataclass(frozen=True)
class Callbacks:
    """What the loop tells others.

    Attributes:
        metrics: called with the step and the means since the last call; among them
            ``learning_rate``, that of the update just made.
        progress: called with the last step after each call.
        saved: called when a checkpoint is begun, which is written in the background.
        resumed: called with the step that training goes on from, 0 at its start.
        saving: called before each checkpoint, which must not know more than the metrics on disk.

    """

    metrics: Callable[[int, Mapping[str, float]], None]
    progress: Callable[[int], None]
    saved: Callable[[], None] = lambda: None
    resumed: Callable[[int], None] = lambda step: None
    saving: Callable[[], None] = lambda: None


class _HaltedError(Exception):
    """An alarm asks for weights of before."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.line)
        self.alarm = alarm


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
    checkpoints: CheckpointStore,
    settings: LoopSettings,
    callbacks: Callbacks,
    epoch_end: EpochEnd | None = None,
    stop: StopRequest | None = None,
    alarms: AlarmWatch | None = None,
    agreement: Agreement | None = None,
    several: TrainSteps | None = None,
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
        alarms: look at the metrics, and may end the training early, or roll it back; None for the
            one that finds a loss that is no finite number.
        agreement: of several workers, on when to save and when to stop; None for one worker.
        several: makes up to ``settings.steps_per_call`` updates in one call, and then all of them;
            None where that is 1.

    Returns:
        The metrics of the last interval; empty when there was nothing left to do.

    Raises:
        TrainingDivergedError: if the loss or a weight becomes infinite or no number. The checkpoint
            before it is kept.
        AlarmError: if another alarm stopped it, with a checkpoint.
        Interruption: if it was told to end.

    """
    stop, alarms = stop or StopRequest(), alarms or AlarmWatch()
    find_non_finite = build_non_finite_search(state)
    start = checkpoints.restore()
    alarms.resume(start.alarms)
    if (before := alarms.stopped()) is not None:
        raise AlarmError(before.line)
    if alarms.may_roll_back and start.step == 0:
        checkpoints.save([], alarms.state())
    while True:
        try:
            return _run_from(
                start,
                state,
                train_step,
                batches_from,
                checkpoints,
                settings,
                callbacks,
                epoch_end,
                stop,
                alarms,
                agreement,
                several,
                find_non_finite,
            )
        except TrainingDivergedError as error:
            cause: Exception = error
            alarm = alarms.diverged(error.step or state.step, str(error))
        except _HaltedError as error:
            cause, alarm = error, error.alarm
        if alarm.action == "rollback":
            back = _roll_back(alarm, state, checkpoints, alarms)
            if back is not None:
                start = back
                continue
        alarms.stop(alarm)
        raise cause if isinstance(cause, AlarmError) else AlarmError(alarm.line) from None


def _roll_back(
    alarm: Alarm, state: TrainState, checkpoints: CheckpointStore, alarms: AlarmWatch
) -> Resumption | None:
    """Goes back to the newest checkpoint that a check has found nothing wrong after.

    The learning rate is lowered from there on, which the checkpoint is written again with: what is
    killed and resumed afterwards equals what is not.
    """
    scale = state.extra.get("rate_scale")
    if scale is None:
        return None
    back = checkpoints.roll_back(before=max(1, alarms.healthy_step))
    if back is None:
        return None
    alarms.resume(back.alarms, rules_only=True)
    scale.assign(scale * alarms.rollback_rate)
    alarms.roll_back(alarm, back.step)
    checkpoints.save(back.interval, alarms.state())
    checkpoints.wait()
    return back


def _run_from(
    start: Resumption,
    state: TrainState,
    train_step: TrainStep,
    batches_from: Callable[[int], Iterable[Batch]],
    checkpoints: CheckpointStore,
    settings: LoopSettings,
    callbacks: Callbacks,
    epoch_end: EpochEnd | None,
    stop: StopRequest,
    alarms: AlarmWatch,
    agreement: Agreement | None,
    several: TrainSteps | None,
    find_non_finite: Callable[[], str | None],
) -> dict[str, float]:
    """Trains from what was restored to the last step."""
    first = start.step
    callbacks.resumed(first)
    callbacks.progress(first)
    if first >= settings.steps or (epoch_end is not None and epoch_end.stopped):
        return {}
    interval: list[Mapping[str, tf.Tensor | float]] = list(start.interval)
    means: dict[str, float] = {}
    batches = iter(batches_from(first))
    step = first
    saved_at = time.monotonic()

    def advance(count: int) -> bool:
        """Makes steps and what is due after the last; tells whether training goes on."""
        nonlocal means, saved_at, step
        step += count
        epoch_ends = step % settings.steps_per_epoch == 0
        last = step == settings.steps
        # Not at checkpoints, which depend on the clock: the curves are those of the steps alone.
        reports = settings.reports(step)
        rate = math.nan
        if reports:
            asked = time.monotonic()
            # Afterwards it is that of the next update, which the end of an epoch may lower, too.
            rate = float(state.optimizer.learning_rate.numpy())
            alarms.timed(synchronised=time.monotonic() - asked)
        began = time.monotonic()
        fetched = [next(batches) for _ in range(count)]
        fed = time.monotonic()
        interval.append(train_step(*fetched) if several is None else several(fetched))
        alarms.timed(waited=fed - began, computed=time.monotonic() - fed)
        halting = None
        if reports:
            asked = time.monotonic()
            taken = _numbers(interval)
            alarms.timed(synchronised=time.monotonic() - asked)
            interval.clear()
            _check_finite(taken, step)
            # A term that the loss does not show, or what no loss depends on, may have diverged.
            _check_weights(find_non_finite(), step)
            means = _means(taken) | {"learning_rate": rate}
            if epoch_end is not None and epoch_ends:
                means |= epoch_end()
            means |= alarms.measure(step, epoch_ends or last)
            callbacks.metrics(step, means)
            halting = alarms.check(step, means)
            if halting is not None and halting.action == "rollback":
                raise _HaltedError(halting)
        ended = last or (epoch_end is not None and epoch_end.stopped)
        # A failed save raises at the next one, where several workers are told of it, too.
        late = checkpoints.failed or time.monotonic() - saved_at >= settings.checkpoint_seconds
        ending = stop.requested
        if agreement is not None:
            late, ending = agreement(step, late=late)
        if halting is not None:
            halting = alarms.stop(halting)
        if ended or late or halting or ending or settings.saves(step):
            pending = _numbers(interval)
            _check_finite(pending, step)
            keep = alarms.healthy_step if alarms.may_roll_back else None
            callbacks.saving()
            checkpoints.save(pending, alarms.state(), keep_before=keep)
            saved_at = time.monotonic()
            if ended or halting or ending:
                checkpoints.wait()
            callbacks.saved()
            if halting is not None:
                raise AlarmError(halting.line)
            if ending:
                stop.end(step)
        callbacks.progress(step)
        return not ended

    # The first step takes long to compile, and leaves nothing yet that would be worth a checkpoint.
    try:
        going_on = advance(1)
        with stop.holding():
            while going_on:
                going_on = advance(settings.steps_from(step + 1))
    finally:
        # Whatever ended it, what it has begun to save is worth something.
        checkpoints.close()
    return means


def _numbers(interval: Sequence[Mapping[str, tf.Tensor | float]]) -> list[dict[str, float]]:
    """Waits for the metrics of steps, of which a call may have made several."""
    numbers: list[dict[str, float]] = []
    for one in interval:
        columns = {
            name: np.atleast_1d(np.asarray(value, np.float64)).tolist()
            for name, value in one.items()
        }
        rows = zip(*columns.values(), strict=True)
        numbers += [dict(zip(columns, row, strict=True)) for row in rows]
    return numbers


def _check_finite(taken: Sequence[Mapping[str, float]], step: int) -> None:
    """Refuses losses that are no finite numbers.

    Args:
        taken: the metrics of the last steps.
        step: the last of them.

    Raises:
        TrainingDivergedError: naming the first step that had one, and which terms.

    """
    for number, metrics in enumerate(taken, step - len(taken) + 1):
        if not math.isfinite(metrics["loss"]):
            raise TrainingDivergedError(
                f"the loss is {metrics['loss']} at step {number} ({name_terms(metrics)}): expected "
                f"a finite number; a lower training.learning_rate may help, as "
                f"training.on_divergence=rollback tries once",
                number,
            )


def _check_weights(name: str | None, step: int) -> None:
    """Refuses weights that are no finite numbers.

    Args:
        name: of one that is not; None where all are.
        step: updates made.

    Raises:
        TrainingDivergedError: naming it.

    """
    if name is not None:
        raise TrainingDivergedError(
            f"the weights are no longer finite at step {step} ({name}): expected finite numbers; a "
            f"lower training.learning_rate may help, as training.on_divergence=rollback tries once"
        )


def _means(interval: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Averages what every step measured; on other replicas than before, some measure less."""
    return {
        name: math.fsum(metrics[name] for metrics in interval) / len(interval)
        for name in interval[0]
        if all(name in metrics for metrics in interval)
    }
