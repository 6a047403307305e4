"""Progress bar with rate and time left on a terminal; nothing elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    """Images (or what is counted) per second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        unit = task.fields["unit"]
        return Text(f"{rate:,.0f} {unit}/s" if rate else f"- {unit}/s")


@contextlib.contextmanager
def progress_bar(
    console: Console, description: str, total: int, unit: str
) -> Iterator[Callable[[int], None]]:
    """Shows how far a long part is.

    Args:
        console: where to show it; nothing is shown if it is no terminal.
        description: what is done.
        total: how many there are.
        unit: what is counted.

    Yields:
        A function to call with the number done so far. The first call sets the start, so that work
        that a resumed run found done does not count into the rate.

    """
    if not console.is_terminal:
        yield lambda done: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total, unit=unit)
        yield lambda done: bar.update(task, completed=done)
