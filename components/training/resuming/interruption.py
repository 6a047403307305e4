"""Interruption of a run: signals and a time limit, which training meets with a checkpoint first."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

# With what status a process ends that was told to; SLURM warns by SIGUSR1 before its SIGTERM.
STATUSES = {
    signal.SIGTERM: 128 + signal.SIGTERM,
    signal.SIGINT: 128 + signal.SIGINT,
    signal.SIGUSR1: 128 + signal.SIGTERM,
}
# EX_TEMPFAIL of sysexits.h: the same command is to be run again.
TIME_IS_UP = 75


class Interruption(BaseException):
    """A run was told to end; like KeyboardInterrupt, it is no error that anything recovers from.

    Args:
        cause: the signal's name, or the option that set the limit.
        status: the process's exit status.
        step: the training step of the checkpoint that was just written; None where there was none
            to write.

    Attributes:
        then: what the same command does next, for people.

    """

    then = "the same command goes on from the last checkpoint"

    def __init__(self, cause: str, status: int, step: int | None = None) -> None:
        at = "" if step is None else f" at step {step}"
        super().__init__(f"interrupted{at} ({cause})")
        self.status = status
        self.step = step


@dataclasses.dataclass(frozen=True)
class Told:
    """Why a run is to end, and with what status.

    Attributes:
        cause: the signal's name, or the option that set the limit.
        status: the process's exit status.

    """

    cause: str
    status: int


class StopRequest:
    """Whether a run has been told to end, by a signal or because its time is up.

    While a training holds a signal back, ``requested`` is true and the training ends with
    ``end``, after its checkpoint; at any other time a signal ends the run at once, and so does a
    second SIGINT.

    Args:
        max_minutes: after which the run is to end; None for no limit.
        say: told that a signal waits for a checkpoint.

    """

    def __init__(
        self, max_minutes: float | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        self._limit = max_minutes
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._say = say
        self._held = self._listens = False
        self._signal: signal.Signals | None = None
        self._told: Told | None = None
        self._process = os.getpid()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the signals of ``STATUSES``; only a process's main thread can, others do not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in STATUSES}
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen_again(self) -> None:
        """Takes the signals back from TensorFlow, which listens itself once workers have joined."""
        for number in STATUSES:
            if self._listens:
                signal.signal(number, self._take)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Holds signals back while a training is between checkpoints."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._signal is not None:
            self.end()

    @property
    def told(self) -> Told | None:
        """Why the run is to end; None while it is not."""
        if self._told is not None:
            return self._told
        if self._signal is not None:
            return Told(self._signal.name, STATUSES[self._signal])
        if self.time_is_up:
            return Told(f"--max-minutes {self._limit:g}", TIME_IS_UP)
        return None

    @property
    def requested(self) -> bool:
        """Whether the run is to end."""
        return self.told is not None

    @property
    def time_is_up(self) -> bool:
        """Whether the run has had its time."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def take_over(self, cause: str, status: int) -> None:
        """Lets the run end for what another worker was told."""
        self._told = Told(cause, status)

    def end(self, step: int | None = None) -> NoReturn:
        """Ends the run, once it was told to.

        Raises:
            Interruption: always.

        """
        told = self.told
        assert told is not None
        raise Interruption(told.cause, told.status, step)

    def _take(self, number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if os.getpid() != self._process:
            # A forked worker has no training to end.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
            return
        again = self._signal is not None
        self._signal = self._signal or received
        if not self._held or (again and received == signal.SIGINT):
            self.end()
        if not again and self._say is not None:
            self._say(f"{received.name}: ends at the next checkpoint, which is being written")
