"""Forked Python processes: they find imported what a fresh one would take seconds to import.

For tests that need a process of its own, to be killed or to have a terminal's streams, but not one
that has imported nothing. ``run`` and ``start`` take the commands that `subprocess.run` and `Popen`
take, of the form ``python [options] -m module arguments``.
"""

import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

# What whole runs and conversions import.
_IMPORTED = ["tests.imported_before_forks"]
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(_IMPORTED)


class Forked:
    """A process that runs a module as ``python -m`` does."""

    def __init__(
        self, command: Sequence[str], output: Path, *, env: Mapping[str, str] | None = None
    ) -> None:
        """Starts it.

        Args:
            command: ``python [options] -m module arguments``.
            output: a folder, to which it writes what goes to its streams: ``1`` and ``2``.
            env: its environment; None for this process's.

        """
        self._command = list(command)
        module, *arguments = command[command.index("-m") + 1 :]
        self.output = output
        self._process = _PROCESSES.Process(
            target=_run_module,
            args=(module, arguments, str(output), dict(os.environ if env is None else env)),
        )
        self._process.start()

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.exitcode

    def send(self, number: int) -> None:
        """Sends it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it by SIGKILL."""
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, a negative signal where one ended it."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise TimeoutExpired(self._command, timeout or 0.0)
        return status

    def text(self, stream: int) -> str:
        """What it wrote to its standard output, 1, or standard error, 2."""
        return (self.output / str(stream)).read_text(errors="replace")


def run(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Takes the place of `subprocess.run` with captured text."""
    with tempfile.TemporaryDirectory() as output:
        process = Forked(command, Path(output), env=env)
        status = process.wait(options.get("timeout"))
        return subprocess.CompletedProcess(command, status, process.text(1), process.text(2))


def stop() -> None:
    """Ends the process that others are forked from, so that its time counts as its parent's."""
    server: Any = multiprocessing.forkserver._forkserver
    server._stop()


def _run_module(module: str, arguments: list[str], output: str, env: dict[str, str]) -> None:
    for stream in (1, 2):
        descriptor = os.open(Path(output, str(stream)), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    sys.argv[1:] = arguments
    with warnings.catch_warnings():
        # That the module is imported is the point.
        warnings.filterwarnings("ignore", ".*found in sys.modules", RuntimeWarning)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
