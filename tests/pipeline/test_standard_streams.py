"""A command ends its work whoever reads what it prints, and says so where that is lost."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from twofold.pipeline.cli.app import main
from twofold.pipeline.cli.commands import run_commands
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.standard_streams import LastingStream, Loss


class Full(io.StringIO):
    """As /dev/full, which not every system has."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture
def unheard() -> Iterator[TextIO]:
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield stream


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def three_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lets a run say three lines and do nothing else; returns what it did."""
    done: list[str] = []

    def run_steps(context: Context, until: str) -> None:
        for line in ("first", "second", "third"):
            context.say(line)
            done.append(line)

    monkeypatch.setattr(run_commands, "run_steps", run_steps)
    return done


def test_writes_go_nowhere_from_the_first_that_fails(unheard: TextIO) -> None:
    loss = Loss()
    stream = LastingStream(unheard, loss)
    assert stream.write("held back") == 9
    assert loss.error is None
    stream.flush()
    assert loss.unheard
    # So do those of whoever writes to its number, and what is held back at the end.
    assert os.write(unheard.fileno(), b"more") == 4
    stream.writelines(["more"])
    unheard.flush()


def test_a_run_goes_on_after_its_reader_is_gone_and_says_so_once(
    unheard: TextIO,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    done = three_lines(monkeypatch)
    monkeypatch.setattr(sys, "stdout", unheard)
    assert run("run", "quickstart", "--workdir", str(tmp_path)) == 0
    assert done == ["first", "second", "third"]
    assert capsys.readouterr().err == (
        "standard output: Broken pipe: the run goes on, and what it says of training is in its "
        "train.log\n"
    )


def test_a_run_whose_output_is_lost_on_a_full_disk_ends_its_work_and_with_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    done = three_lines(monkeypatch)
    monkeypatch.setattr(sys, "stdout", Full())
    assert run("run", "quickstart", "--workdir", str(tmp_path)) == 1
    assert done == ["first", "second", "third"]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("standard output: No space left on device: the run goes on")
    assert last == "error: standard output: No space left on device"


def test_a_command_that_prints_ends_quietly_after_its_reader_is_gone(
    unheard: TextIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", unheard)
    assert run("show", "quickstart") == 0
    assert capsys.readouterr().err == ""


def test_without_a_stream_for_errors_the_status_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Full())
    assert run("show", "quickstarts") == 2


def test_a_connection_that_breaks_is_an_error_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run_steps(context: Context, until: str) -> None:
        raise BrokenPipeError(32, "Broken pipe", "/mnt/far")

    monkeypatch.setattr(run_commands, "run_steps", run_steps)
    assert run("run", "quickstart", "--workdir", str(tmp_path)) == 1
    assert capsys.readouterr().err == "error: /mnt/far: Broken pipe\n"


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_number_of_a_stream_that_is_closed(closed: str, tmp_path: Path) -> None:
    program = f"""if True:
        import os, sys
        from twofold.pipeline.standard_streams import lasting_streams
        with lasting_streams():
            print("to standard output")
            print("to standard error", file=sys.stderr)
            sys.stdin.read()
            with open({str(tmp_path / "file")!r}, "w") as file:
                os.write(2, b"from a library")
                file.write(str(file.fileno()))
    """
    command = f'exec "$0" -c "$1" {closed}'
    finished = subprocess.run(
        ["sh", "-c", command, sys.executable, program], check=False, capture_output=True, input=b""
    )
    assert finished.returncode == 0, finished
    assert int((tmp_path / "file").read_text()) > 2
