"""Profiler of chosen steps, for the profile tab of TensorBoard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf


class Profiler:
    """Records what each operation of some steps takes.

    Args:
        directory: of the event files.
        steps: the first and the last, from 1 up; None for none.

    """

    def __init__(self, directory: Path, steps: tuple[int, int] | None) -> None:
        self._directory, self._steps = directory, steps
        self._running = False

    @contextlib.contextmanager
    def of_step(self, step: int) -> Iterator[None]:
        """Records a step, if it is one of them."""
        if self._steps is None or not self._steps[0] <= step <= self._steps[1]:
            yield
            return
        if not self._running:
            tf.profiler.experimental.start(str(self._directory))
            self._running = True
        with tf.profiler.experimental.Trace("train", step_num=step, _r=1):
            yield
        if step >= self._steps[1]:
            self.close()

    def close(self) -> None:
        """Writes what was recorded."""
        if self._running:
            # Once, though training may be rolled back.
            self._running, self._steps = False, None
            tf.profiler.experimental.stop()
