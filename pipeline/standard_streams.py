"""Standard streams of a command: nobody who stops to listen, or a full disk, ends its work."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}


@dataclasses.dataclass
class Loss:
    """What became of a stream.

    Attributes:
        error: of the first write that failed; None while all is well.
        told: whether a person was told of it.

    """

    error: OSError | None = None
    told: bool = False

    @property
    def unheard(self) -> bool:
        """Whether who had read the stream is gone, as ``head`` is after its lines."""
        return self.error is not None and self.error.errno in (errno.EPIPE, errno.EBADF)


class LastingStream:
    """A text stream whose writes go nowhere from the first on that fails.

    Args:
        stream: to write to.
        loss: told of the failure.

    """

    def __init__(self, stream: TextIO, loss: Loss) -> None:
        self._stream, self.loss = stream, loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text; returns its length."""
        if self.loss.error is None:
            with self._losing():
                return self._stream.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Writes texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Writes what is held back."""
        if self.loss.error is None:
            with self._losing():
                self._stream.flush()

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.loss.error = error
            # Where what is held back goes at the end, and what libraries and processes write.
            with contextlib.suppress(OSError, ValueError):
                _open_nowhere(self._stream.fileno())


def newly_lost() -> OSError | None:
    """Returns once, after it has happened, why standard output cannot be written."""
    stream = cast(object, sys.stdout)
    if not isinstance(stream, LastingStream) or stream.loss.told:
        return None
    stream.loss.told = stream.loss.error is not None
    return stream.loss.error


@contextlib.contextmanager
def lasting_streams() -> Iterator[Loss]:
    """Lets a command do its work to the end, whoever reads what it prints.

    A stream that was closed before its start is opened to nowhere, so that no file that is opened
    later takes its number and gets what libraries write to that. While the context is open, writes
    to standard output and standard error do not fail.

    Yields:
        What becomes of standard output.

    """
    _open_missing()
    before = sys.stdout, sys.stderr
    loss = Loss()
    sys.stdout = cast(TextIO, LastingStream(sys.stdout, loss))
    sys.stderr = cast(TextIO, LastingStream(sys.stderr, Loss()))
    try:
        yield loss
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = before


def _open_missing() -> None:
    for name, number in _NUMBERS.items():
        try:
            os.fstat(number)
        except OSError:
            _open_nowhere(number)
        if getattr(sys, name) is None:
            # As long as the process.
            nowhere = open(os.devnull, "r+" if name == "stdin" else "w", encoding="utf-8")  # noqa: PTH123, SIM115
            setattr(sys, name, nowhere)


def _open_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:
        os.set_inheritable(number, True)
        return
    os.dup2(nowhere, number)
    os.close(nowhere)
