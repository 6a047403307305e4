"""Metrics file and log of a training, over interruptions."""

import datetime
import json
import math
from pathlib import Path

import pytest

from twofold.components.training.reporting.metrics_file import MetricsFile
from twofold.components.training.reporting.training_log import TrainingLog


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def file(path: Path) -> MetricsFile:
    written = MetricsFile(path)
    for step in (4, 8, 12):
        written.write({"step": step, "loss": step / 10})
    written.flush()
    return written


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("step", "kept"), [(12, [4, 8, 12]), (9, [4, 8]), (8, [4, 8]), (0, [])])
def test_lines_after_the_step_that_training_goes_on_from_are_cut(
    file: MetricsFile, path: Path, step: int, kept: list[int]
) -> None:
    assert file.resume(step) == 3 - len(kept)
    assert steps(path) == kept
    file.write({"step": 16})
    assert steps(path) == [*kept, 16]


def test_a_line_that_a_crash_cut_short_is_cut(file: MetricsFile, path: Path) -> None:
    with path.open("ab") as torn:
        torn.write(b'{"step": 1')
    assert file.resume(12) == 1
    assert steps(path) == [4, 8, 12]


@pytest.mark.parametrize("line", ['{"step": 8}', "[8]", '{"loss": 1}', "\x00\x00", "{}"])
def test_what_is_no_further_interval_is_cut(file: MetricsFile, path: Path, line: str) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], line, lines[2]]) + "\n")
    assert file.resume(12) == 1
    assert steps(path) == [4, 8, 12]


def test_what_stays_is_not_written_again(file: MetricsFile, path: Path) -> None:
    before = path.stat()
    assert file.resume(12) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_training_that_begins_needs_no_file(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.flush()
    assert file.resume(0) == 0
    assert not list(tmp_path.iterdir())


def test_what_is_no_finite_number_is_null(path: Path) -> None:
    MetricsFile(path).write({"step": 1, "a": math.nan, "b": -math.inf, "c": 0.5})
    assert path.read_text() == '{"step": 1, "a": null, "b": null, "c": 0.5}\n'


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        MetricsFile(tmp_path / "nowhere" / "metrics.jsonl").write({"step": 1})


def test_the_log_has_a_line_each_with_its_time_in_utc(tmp_path: Path) -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    log = TrainingLog(
        tmp_path / "train.log", now=lambda: datetime.datetime(2026, 1, 2, 1, 4, 5, tzinfo=zone)
    )
    log("one")
    log("two\nlines")
    assert (tmp_path / "train.log").read_text() == (
        "2026-01-01T23:04:05Z one\n2026-01-01T23:04:05Z two\n2026-01-01T23:04:05Z lines\n"
    )
