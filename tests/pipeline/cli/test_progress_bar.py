"""Progress: a bar on a terminal, lines elsewhere."""

import re
from collections.abc import Iterator
from io import StringIO

import pytest
from rich.console import Console

from twofold.components.training.reporting.intervals import Interval
from twofold.pipeline.cli.progress_bar import ProgressDisplay

INTERVAL = Interval(
    stage="pretrain",
    step=400,
    steps=1200,
    epoch=2,
    epochs=6,
    images=3200,
    metrics={"loss": 3.25, "feature_std": 0.03},
    learning_rate=0.00075,
    images_per_second=812.0,
    seconds_left=90.0,
    wall_time=0.0,
)


def _ticking(width: int) -> Console:
    ticks = iter(range(1000))
    return Console(
        file=StringIO(), force_terminal=True, width=width, get_time=lambda: float(next(ticks))
    )


def _unheard(line: str) -> None:
    raise AssertionError(line)


def _shown(console: Console, *done: int, intervals: tuple[Interval, ...] = ()) -> str:
    display = ProgressDisplay(console, _unheard)
    with display.bar("pretrain", 1200, "images") as show:
        for count in done:
            show(count)
        for interval in intervals:
            display.interval(interval)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().rpartition("pretrain")[2].split("\x1b[?25h")[0]


def test_a_terminal_shows_how_far_it_is_how_fast_and_how_long_it_takes() -> None:
    last = _shown(_ticking(120), 400, 800, 1200)
    assert "1200/1200" in last
    assert "images/s" in last
    assert "- images/s" not in last
    assert "left" in last


def test_a_bar_without_progress_has_no_rate_yet() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)
    assert "- images/s" in _shown(console)


@pytest.mark.parametrize("width", [80, 120])
def test_the_bar_of_a_training_shows_epoch_loss_and_learning_rate(width: int) -> None:
    last = _shown(_ticking(width), 400, 800, intervals=(INTERVAL,))
    assert "epoch 2/6 loss 3.25 rate 0.00075" in last
    assert "800/1200" not in last, "there is no room for both"
    assert re.search(r"\d images/s", last), "on one line"
    assert "left" in last
    assert "…" not in last


def test_a_training_without_its_bar_shows_nothing() -> None:
    console = _ticking(80)
    ProgressDisplay(console, _unheard).interval(INTERVAL)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == ""


class Lines:
    """A display without a terminal, at a time that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.console = Console(file=StringIO())
        self.display = ProgressDisplay(self.console, self.said.append, lambda: self.now)

    def at(self, now: float) -> "Lines":
        self.now = now
        return self


@pytest.fixture
def lines() -> Iterator[Lines]:
    found = Lines()
    yield found
    assert isinstance(found.console.file, StringIO)
    assert found.console.file.getvalue() == ""


def test_without_a_terminal_each_interval_is_a_line(lines: Lines) -> None:
    with lines.display.bar("pretrain", 9600, "images") as show:
        show(3200)
        lines.display.interval(INTERVAL)
        lines.at(1.0).display.interval(INTERVAL)
    assert lines.said == 2 * [
        "pretrain: step 400 of 1,200, epoch 2 of 6, loss 3.25, learning rate 0.00075, "
        "812 images/s, 0:01:30 left"
    ]


def test_without_a_terminal_long_work_is_heard_of_every_half_minute(lines: Lines) -> None:
    with lines.display.bar("embed", 50_000, "images") as show:
        # What a resumed run found done counts into no rate.
        for seconds, done in enumerate(range(10_000, 50_001, 500)):
            lines.at(seconds)
            show(done)
    assert lines.said == [
        "embed: 25,000 of 50,000 images, 500 images/s, 0:00:50 left",
        "embed: 40,000 of 50,000 images, 500 images/s, 0:00:20 left",
    ]


def test_what_a_rollback_takes_back_counts_into_no_rate(lines: Lines) -> None:
    with lines.display.bar("pretrain", 1000, "images") as show:
        for seconds, done in ((0.0, 500), (10.0, 900), (20.0, 100), (40.0, 300)):
            lines.at(seconds)
            show(done)
    assert lines.said == ["pretrain: 300 of 1,000 images, 10 images/s, 0:01:10 left"]


def test_what_is_slow_is_counted_below_one_a_second(lines: Lines) -> None:
    with lines.display.bar("measure", 6, "measures") as show:
        show(0)
        lines.at(40.0)
        show(1)
    assert lines.said == ["measure: 1 of 6 measures, 0.025 measures/s, 0:03:20 left"]


def test_short_work_is_not_heard_of(lines: Lines) -> None:
    with lines.at(100.0).display.bar("embed", 1000, "images") as show:
        show(0)
        lines.at(129.0)
        show(900)
        lines.at(131.0)
        show(1000)
    assert lines.said == []


def test_a_training_that_reports_is_not_heard_of_besides(lines: Lines) -> None:
    with lines.display.bar("pretrain", 9600, "images") as show:
        lines.at(29.0).display.interval(INTERVAL)
        lines.said.clear()
        lines.at(58.0)
        show(4000)
        assert lines.said == []
        lines.at(59.0)
        show(4100)
    assert [line.partition(",")[0] for line in lines.said] == ["pretrain: 4"]
