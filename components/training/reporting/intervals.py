"""Intervals of training: what is reported of the steps since the last report, as plain data."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

# Over how many intervals the time that is left is judged, so that validation after an epoch counts.
_JUDGED = 64
_LEARNING_RATE = "learning_rate"


@dataclasses.dataclass(frozen=True)
class Interval:
    """One interval of a training, which ends with a step.

    Attributes:
        stage: what is trained, such as "pretrain".
        step: updates made.
        steps: updates in all.
        epoch: the one that the last step belongs to, from 1.
        epochs: in all.
        images: seen so far, each as often as it was.
        metrics: means over the interval's steps by name, among them "loss"; of its last step, what
            is measured after an epoch.
        learning_rate: of the update that was made last.
        images_per_second: since the interval before.
        seconds_left: to the last step, at the rate of the last intervals.
        wall_time: when it ended, in seconds since 1970, UTC.

    """

    stage: str
    step: int
    steps: int
    epoch: int
    epochs: int
    images: int
    metrics: Mapping[str, float]
    learning_rate: float
    images_per_second: float
    seconds_left: float
    wall_time: float

    @property
    def ends_epoch(self) -> bool:
        """Whether an epoch ends with it."""
        return self.step % (self.steps // self.epochs) == 0

    def record(self) -> dict[str, Any]:
        """Returns what ``metrics.jsonl`` holds of it: one flat object, as JSON has it."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "images": self.images,
            **self.metrics,
            _LEARNING_RATE: self.learning_rate,
            "images_per_second": self.images_per_second,
            "wall_time": self.wall_time,
        }

    def line(self) -> str:
        """Describes it to a person."""
        return (
            f"{self.stage}: step {self.step:,} of {self.steps:,}, epoch {self.epoch} of "
            f"{self.epochs}, loss {self.metrics['loss']:.4g}, learning rate "
            f"{self.learning_rate:.3g}, {self.images_per_second:,.0f} images/s, "
            f"{duration(self.seconds_left)} left"
        )

    def full_line(self) -> str:
        """Describes it with all its metrics."""
        others = (f"{name} {value:.4g}" for name, value in self.metrics.items() if name != "loss")
        return "; ".join([self.line(), ", ".join(others)]).removesuffix("; ")


def duration(seconds: float) -> str:
    """Writes a time as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


class IntervalClock:
    """Makes intervals of a training's steps, as fast as they come.

    Args:
        stage: what is trained.
        steps: updates in all.
        steps_per_epoch: updates an epoch.
        images_after: from a number of updates to the images seen.
        monotonic: gives the seconds since some moment.
        now: gives the seconds since 1970, UTC.

    """

    def __init__(
        self,
        stage: str,
        steps: int,
        steps_per_epoch: int,
        images_after: Callable[[int], int],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._stage, self._steps, self._per_epoch = stage, steps, steps_per_epoch
        self._images_after = images_after
        self._monotonic, self._now = monotonic, now
        self._points: deque[tuple[int, float]] = deque(maxlen=_JUDGED)
        self.begin(0)

    def begin(self, step: int) -> None:
        """Starts the clock at a step that a training goes on from."""
        self._last = step, self._monotonic()
        self._points.clear()

    def end(self, step: int, means: Mapping[str, float]) -> Interval:
        """Ends an interval, and starts the next.

        Args:
            step: updates made.
            means: of the loop, with ``learning_rate``.

        """
        before, self._last = self._last, (step, self._monotonic())
        # Not the first step, which takes long to compile, once there is anything else.
        self._points.append(self._last)
        images = self._images_after(step)
        seen = images - self._images_after(before[0])
        first = self._points[0] if len(self._points) > 1 else before
        step_seconds = (self._last[1] - first[1]) / max(1, step - first[0])
        return Interval(
            stage=self._stage,
            step=step,
            steps=self._steps,
            epoch=-(-step // self._per_epoch),
            epochs=-(-self._steps // self._per_epoch),
            images=images,
            metrics={name: value for name, value in means.items() if name != _LEARNING_RATE},
            learning_rate=means[_LEARNING_RATE],
            images_per_second=seen / max(self._last[1] - before[1], 1e-9),
            seconds_left=(self._steps - step) * step_seconds,
            wall_time=self._now(),
        )
