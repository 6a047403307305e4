"""One variant in a process of its own, stepped by request, so that variants can take turns."""

from __future__ import annotations

import dataclasses
import importlib
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from twofold.pipeline.tensorflow_import import import_tensorflow


@dataclasses.dataclass(frozen=True)
class FirstStep:
    """What a variant costs before it runs at its own speed.

    Attributes:
        seconds: of the first step, with tracing and compilation.
        loss: what it returned, to see that the variants compute what they should.

    """

    seconds: float
    loss: float


@dataclasses.dataclass(frozen=True)
class Turn:
    """What one step took, the mean of those made in a row.

    Attributes:
        seconds: that passed.
        processor_seconds: that all threads of the process computed.
        value: what the step returned.

    """

    seconds: float
    processor_seconds: float
    value: float


class Stepper:
    """A running process with one variant, built and stepped once; a context manager.

    Args:
        module: has a dict ``VARIANTS`` of functions that build a step, itself a function that takes
            nothing and returns a number.
        variant: a key of it.
        arguments: of the function that builds the step.

    """

    def __init__(self, module: str, variant: str, *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, module, variant, arguments))
        self._process.start()
        theirs.close()
        self.first: FirstStep = self._connection.recv()

    def step(self, count: int) -> Turn:
        """Makes steps in a row."""
        self._connection.send(count)
        turn: Turn = self._connection.recv()
        return turn

    def peak_bytes(self) -> int:
        """Returns the peak of resident memory so far, over what was resident before any step."""
        self._connection.send(None)
        return int(self._connection.recv())

    def __enter__(self) -> Stepper:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        self._process.join()


def _serve(connection: Connection, module: str, variant: str, arguments: Sequence[object]) -> None:
    import_tensorflow()
    step = importlib.import_module(module).VARIANTS[variant](*arguments)
    before = _resident("VmRSS")
    started = time.perf_counter()
    loss = step()
    connection.send(FirstStep(time.perf_counter() - started, loss))
    while True:
        try:
            count = connection.recv()
        except EOFError:
            return
        if count is None:
            connection.send(_resident("VmHWM") - before)
            continue
        started, computed = time.perf_counter(), time.process_time()
        total = sum(step() for _ in range(count))
        seconds, processor = time.perf_counter() - started, time.process_time() - computed
        connection.send(Turn(seconds / count, processor / count, total / count))


def _resident(field: str) -> int:
    """Reads the process's own memory from Linux, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}: expected Linux's")
