"""A worker that `twofold launch` started ends with it, whatever ended the launcher."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from twofold.pipeline.launch.launcher_watch import VARIABLE, follow_launcher

# Two workers, which note the signal that ends them.
_LAUNCHER = """
import pathlib, sys
from twofold.pipeline.launch.local_workers import Launch, launch
folder = pathlib.Path(sys.argv[1])
worker = '''
import os, pathlib, signal, sys, time
from twofold.pipeline.launch.launcher_watch import VARIABLE, follow_launcher
folder, own = pathlib.Path(sys.argv[1]), str(os.getpid())
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit((folder / own).write_text("told")))
follow_launcher(lambda line: None)
assert VARIABLE not in os.environ
(folder / own).write_text("begun")
time.sleep(60)
'''
command = lambda left: [sys.executable, "-c", worker, str(folder)]
launch(Launch(command, 2, folder / "logs", "x", 0, None, print))
"""


def _notes(folder: Path, text: str) -> list[Path]:
    """Waits until two workers have noted something."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [one for one in folder.glob("[0-9]*") if one.read_text() == text]
        if len(found) == 2:
            return found
        time.sleep(0.05)
    return []


def test_workers_of_a_killed_launcher_are_told_to_end(tmp_path: Path) -> None:
    launcher = subprocess.Popen([sys.executable, "-c", _LAUNCHER, str(tmp_path)])
    begun = _notes(tmp_path, "begun")
    launcher.kill()
    launcher.wait()
    assert sorted(_notes(tmp_path, "told")) == sorted(begun) != []


def test_a_process_that_nobody_launched_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    follow_launcher(pytest.fail)


def test_a_launcher_that_was_gone_before_the_worker_began_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    try:
        monkeypatch.setenv(VARIABLE, str(os.getpid()))
        follow_launcher(lambda line: None)
        end = time.monotonic() + 20
        while not told and time.monotonic() < end:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told == [signal.SIGTERM]
