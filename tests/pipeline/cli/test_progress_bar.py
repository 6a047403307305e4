"""Progress: a bar with rate and time left on a terminal, nothing elsewhere."""

from io import StringIO

from rich.console import Console

from twofold.pipeline.cli.progress_bar import progress_bar


def _shown(console: Console, *done: int) -> str:
    with progress_bar(console, "pretrain", 1200, "images") as show:
        for count in done:
            show(count)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_nothing_is_shown_where_there_is_no_terminal() -> None:
    assert _shown(Console(file=StringIO()), 400, 1200) == ""


def test_a_terminal_shows_how_far_it_is_how_fast_and_how_long_it_takes() -> None:
    ticks = iter(range(1000))
    console = Console(
        file=StringIO(), force_terminal=True, width=120, get_time=lambda: float(next(ticks))
    )
    last = _shown(console, 400, 800, 1200).rpartition("pretrain")[2]
    assert "1200/1200" in last
    assert "images/s" in last
    assert "- images/s" not in last
    assert "left" in last


def test_a_bar_without_progress_has_no_rate_yet() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)
    assert "- images/s" in _shown(console)
