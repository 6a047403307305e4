"""Progress of long work: a bar on a terminal, and lines where there is none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from twofold.components.training.reporting.intervals import Interval, duration

# From one line to the next, in seconds, where nothing else is printed.
_LINE_EVERY = 30.0


class _CountColumn(MofNCompleteColumn):
    """How many are done of how many, where nothing better tells so."""

    def render(self, task: Task) -> Text:
        return Text("") if task.fields["status"] else super().render(task)


class _RateColumn(ProgressColumn):
    """Images (or what is counted) per second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{_per_second(rate)} {unit}/s" if rate else f"- {unit}/s")


class ProgressDisplay:
    """Shows how far long work is.

    Args:
        console: shows a bar if it is a terminal.
        say: takes a line where it is none: one for each interval of training, and otherwise one
            after every half minute in which there was no other.
        clock: gives the seconds since some moment.

    """

    def __init__(
        self,
        console: Console,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console, self._say, self._clock = console, say, clock
        self._shown: tuple[Progress, TaskID] | None = None
        self._told = clock()

    @contextlib.contextmanager
    def bar(self, description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Shows how far a long part is, how fast it goes and how long it takes.

        Args:
            description: what is done.
            total: how many there are.
            unit: what is counted.

        Yields:
            A function to call with the number done so far. The first call sets the start, so that
            work that a resumed run found done does not count into the rate.

        """
        if not self._console.is_terminal:
            yield self._lines(description, total, unit)
            return
        columns = (
            TextColumn("{task.description}"),
            # As wide as the others leave it.
            BarColumn(bar_width=None),
            _CountColumn(table_column=Column(no_wrap=True)),
            _RateColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TextColumn("{task.fields[status]}"),
        )
        with Progress(*columns, console=self._console, expand=True) as progress:
            task = progress.add_task(description, total=total, unit=unit, status="")
            before, self._shown = self._shown, (progress, task)
            try:
                yield lambda done: progress.update(task, completed=done)
            finally:
                self._shown = before

    def interval(self, interval: Interval) -> None:
        """Shows an interval of training, in its bar or in a line."""
        if self._console.is_terminal:
            if self._shown is not None:
                progress, task = self._shown
                status = (
                    f"epoch {interval.epoch}/{interval.epochs} "
                    f"loss {interval.metrics['loss']:.4g} rate {interval.learning_rate:.2g}"
                )
                progress.update(task, status=escape(status))
            return
        self._tell(interval.line())

    def _lines(self, description: str, total: int, unit: str) -> Callable[[int], None]:
        self._told = self._clock()
        start: tuple[int, float] | None = None
        last = 0

        def show(done: int) -> None:
            nonlocal last, start
            now = self._clock()
            if start is None or done < last:
                # A training that is rolled back goes on from fewer, which is no rate.
                start = done, now
            last = done
            if now - self._told < _LINE_EVERY or done >= total:
                return
            before, began = start
            rate = (done - before) / max(now - began, 1e-9)
            left = f", {duration((total - done) / rate)} left" if rate else ""
            speed = f"{_per_second(rate)} {unit}/s"
            self._tell(f"{description}: {done:,} of {total:,} {unit}, {speed}{left}")

        return show

    def _tell(self, line: str) -> None:
        self._told = self._clock()
        self._say(line)


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
