"""Heartbeats of workers: signs of life, which one that is stopped or stuck does not give.

A worker that is stopped (SIGSTOP, a machine that stands still) keeps its connections, and the
others would wait for it indefinitely. So each sends the chief a byte twice a second, and the chief
each worker: 0 before its first step, and then a number that every step changes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable

# Seconds between beats; of a pause in which this process did not run itself no more counts.
INTERVAL = 0.5
_AT_ONCE = 4096
_NUMBERS = 255
# Who lives and keeps the others waiting may have reasons, such as a slow disk.
STUCK_FACTOR = 10


@dataclasses.dataclass
class _Other:
    """What is known of another worker: its last byte, and the seconds since some events."""

    connection: socket.socket
    number: int = 0
    silent: float = 0.0
    behind: float = 0.0


class Heartbeats:
    """The signs of life of one worker and of those that it has a connection to.

    ``begin_step`` is called by the thread that trains, all else by the one that watches.

    Args:
        clock: in seconds.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._others: dict[int, _Other] = {}
        self._steps = 0
        self._last: float | None = None

    def watch(self, index: int, connection: socket.socket) -> None:
        """Takes a connection for heartbeats alone to another worker."""
        self.forget(index)
        self._others[index] = _Other(connection)

    def forget(self, index: int) -> None:
        """Ends the connection to another worker, if there is one."""
        if index in self._others:
            self._others.pop(index).connection.close()

    def close(self) -> None:
        """Ends all connections."""
        for index in list(self._others):
            self.forget(index)

    def watches(self, index: int) -> bool:
        """Tells whether there is a connection to another worker."""
        return index in self._others

    def begin_step(self) -> None:
        """Notes that this worker has all that it needs for its next step."""
        self._steps += 1

    def beat(self) -> None:
        """Sends a sign of life, and takes those of the others."""
        now = self._clock()
        passed = 0.0 if self._last is None else min(now - self._last, 2 * INTERVAL)
        self._last = now
        own = 1 + self._steps % _NUMBERS if self._steps else 0
        for other in list(self._others.values()):
            other.silent += passed
            # A full connection is one of somebody who reads nothing.
            with contextlib.suppress(OSError):
                other.connection.send(bytes([own]), socket.MSG_DONTWAIT)
            self._hear(other, own, passed)

    def missing(self, seconds: float) -> dict[int, str]:
        """Says of whom there is nothing to be expected any more, and why.

        Args:
            seconds: without a sign of life; ``STUCK_FACTOR`` times as many for one that lives, has
                made a step, and has not begun the one that this worker is in.

        """
        found = {}
        for index, other in list(self._others.items()):
            if other.silent >= seconds:
                found[index] = f"has given no sign of life for {other.silent:.0f} s"
            elif other.behind >= STUCK_FACTOR * seconds:
                found[index] = (
                    f"lives, but has kept all waiting for its step for {other.behind:.0f} s"
                )
        return found

    def _hear(self, other: _Other, own: int, passed: float) -> None:
        try:
            heard = other.connection.recv(_AT_ONCE, socket.MSG_DONTWAIT)
        except OSError:
            return
        if heard:
            other.silent = 0.0
            other.number = heard[-1]
        begun = own > 0 and other.number > 0
        behind = begun and 0 < (own - other.number) % _NUMBERS < _NUMBERS // 2
        other.behind = other.behind + passed if behind else 0.0
