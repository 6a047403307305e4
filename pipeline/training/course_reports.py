"""Course of a training stage, as it is reported: metrics file, log, curves, terminal."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.components.training.alarms.alarm_watch import Alarm
from twofold.components.training.loop import LoopSettings
from twofold.components.training.reporting.intervals import Interval, IntervalClock
from twofold.components.training.reporting.metrics_file import MetricsFile
from twofold.components.training.reporting.training_callbacks import CallbackFailure, CallbackGroup
from twofold.components.training.reporting.training_log import LOG, TrainingLog
from twofold.components.training.resuming.interruption import Interruption, StopRequest
from twofold.components.training.step import TrainState
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.pipeline.runs.run_context import Context

# The intervals of pretraining.
METRICS = "metrics.jsonl"
# Of an error's message; TensorFlow's can hold a whole graph.
_LOGGED_CHARACTERS = 500
# Of a step's record: what callbacks raised.
_FAILURES = "callback_failures"


def _unheard(line: str) -> None:
    """Tells nobody."""


def _unnoted(stage: str, alarms: Sequence[Alarm]) -> None:
    """Tells nobody."""


def _unfailed(stage: str, failure: CallbackFailure) -> None:
    """Tells nobody."""


@dataclasses.dataclass(frozen=True)
class Attendance:
    """Who attends to a training from outside.

    Attributes:
        say: prints one line for a person, and logs it.
        saved: called after each checkpoint.
        stop: whether training is to end before its last step.
        alarms: called with the stage's name and all its alarms so far, when there is one more.
        callback_failed: told what a callback raised.
        log: takes what is not printed, too.
        show: shows an interval on the terminal.
        long: called once with the seconds that the rest is expected to take, where these are many.

    """

    say: Callable[[str], None] = _unheard
    saved: Callable[[], None] = lambda: None
    stop: StopRequest = dataclasses.field(default_factory=StopRequest)
    alarms: Callable[[str, Sequence[Alarm]], None] = _unnoted
    callback_failed: Callable[[str, CallbackFailure], None] = _unfailed
    log: Callable[[str], None] = _unheard
    show: Callable[[Interval], None] = lambda interval: None
    long: Callable[[float], None] = lambda seconds: None


def attendance(context: Context, details: dict[str, Any] | None = None) -> Attendance:
    """Lets a run attend to its training.

    Args:
        context: of the run.
        details: of the step's record, for the alarms and for what callbacks raised.

    """
    log = TrainingLog(context.run.path / LOG)

    def say(line: str) -> None:
        context.say(line)
        log(line)

    def note(stage: str, alarms: Sequence[Alarm]) -> None:
        if details is None or not alarms:
            return
        others = [one for one in details.get("alarms", ()) if one["stage"] != stage]
        own = [{"stage": stage, **dataclasses.asdict(alarm)} for alarm in alarms]
        details["alarms"] = [*others, *own]
        context.run.note_time()

    def callback_failed(stage: str, failure: CallbackFailure) -> None:
        say(
            f"{stage}: callback {failure.callback} failed in {failure.event} and is called no "
            f"more: {failure.error}; training goes on, {LOG} has the traceback"
        )
        log(failure.traceback)
        if details is not None:
            noted = dataclasses.asdict(failure)
            noted.pop("traceback")
            details.setdefault(_FAILURES, []).append({"stage": stage, **noted})
            context.run.note_time()

    def check(seconds: float) -> None:
        took = context.before_long(context, "training", seconds)
        if took is not None and details is not None:
            details["check_seconds"] = round(took, 1)

    return Attendance(
        say,
        context.run.note_time,
        context.stop,
        note,
        callback_failed,
        log=log,
        show=context.show_interval,
        long=check,
    )


def remind_of_failures(context: Context, details: Mapping[str, Any]) -> None:
    """Says at the end of a step which callbacks failed in it.

    Args:
        context: of the run.
        details: of the step's record.

    """
    for failure in details.get(_FAILURES, ()):
        context.say(
            f"{failure['stage']}: callback {failure['callback']} missed what came after its "
            f"failure; the metrics files have all intervals"
        )


class CourseReports:
    """Tells of a stage's course: its metrics file, its log, its curves and the terminal.

    Args:
        name: of the stage.
        attendance: who is told.
        clock: of the stage.
        file: of its intervals; None where nobody is told of them.
        writer: of its curves, or None.
        learning_rate_curve: whether the learning rate is among the curves.
        callbacks: the user's own.
        about: what they are told of the training when it begins.

    """

    def __init__(
        self,
        name: str,
        attendance: Attendance,
        clock: IntervalClock,
        *,
        file: Path | None,
        writer: TensorBoardWriter | None,
        learning_rate_curve: bool,
        callbacks: Sequence[tuple[str, Any]] = (),
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self._name, self._to, self._clock = name, attendance, clock
        self._file = None if file is None else MetricsFile(file)
        self._writer = writer
        self._learning_rate_curve = learning_rate_curve
        self._callbacks = CallbackGroup(
            callbacks, lambda failure: attendance.callback_failed(name, failure)
        )
        self._about = dict(about or {})
        self._begun = False

    def begin(self, step: int, settings: LoopSettings, replicas: int) -> None:
        """Tells where training begins or goes on, and cuts what it will report again."""
        steps, epochs = settings.steps, settings.steps // settings.steps_per_epoch
        # After a rollback, of which the alarm tells, it begins again.
        if not self._begun:
            lengths = {"step": step, "steps": steps, "epochs": epochs, "replicas": replicas}
            self._callbacks.tell("on_begin", {"stage": self._name, **self._about, **lengths})
        self._begun = True
        if self._file is None:
            return
        cut = self._file.resume(step)
        if cut:
            self._to.say(
                f"{self._file.path.name}: {_count(cut, 'line')} after step {step:,} cut, which "
                f"training writes again"
            )
        if step == 0:
            self._to.log(
                f"{self._name}: begins: {_count(steps, 'step')}, {_count(epochs, 'epoch')}, "
                f"{_count(replicas, 'replica')}"
            )
        elif step < steps:
            self._to.say(f"{self._name}: goes on from step {step:,} of {steps:,}")

    def interval(self, step: int, means: Mapping[str, float]) -> None:
        """Reports the end of an interval."""
        interval = self._clock.end(step, means)
        if self._file is not None:
            self._file.write(interval.record())
            self._to.log(interval.full_line())
            self._to.show(interval)
        if self._writer is not None:
            curves = {"images_per_second": interval.images_per_second}
            if self._learning_rate_curve:
                curves["learning_rate"] = interval.learning_rate
            self._writer.scalars(step, {**interval.metrics, **curves}, images=interval.images)
        data = dataclasses.asdict(interval)
        self._callbacks.tell("on_interval", data)
        if interval.ends_epoch:
            self._callbacks.tell("on_epoch", data)

    def alarm(self, alarm: Alarm) -> None:
        """Tells callbacks of an alarm."""
        self._callbacks.tell("on_alarm", {"stage": self._name, **dataclasses.asdict(alarm)})

    def flush(self) -> None:
        """Returns when the metrics file is on the disk."""
        if self._file is not None:
            self._file.flush()

    @contextlib.contextmanager
    def of_the_end(self, state: TrainState, steps: int) -> Iterator[None]:
        """Tells of the end of what is trained within, and logs what ends it before its time.

        Args:
            state: what is trained.
            steps: updates in all.

        """

        def tell(status: str, error: str | None) -> None:
            if self._begun:
                end = {"status": status, "step": state.step, "steps": steps, "error": error}
                self._callbacks.tell("on_end", {"stage": self._name, **end})

        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, Interruption | KeyboardInterrupt)
            named = str(error) if interrupted else f"{type(error).__name__}: {error}"
            line = " ".join(named.split())[:_LOGGED_CHARACTERS] or type(error).__name__
            # The error itself may be that of a full disk.
            with contextlib.suppress(OSError):
                self._to.log(f"{self._name}: {line}")
            with contextlib.suppress(OSError):
                tell("interrupted" if interrupted else "failed", line)
            raise
        tell("done", None)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
