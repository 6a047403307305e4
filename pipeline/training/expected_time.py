"""Expected time of a training, told early where the training is long."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds from which on it is worth to try out what comes after.
LONG = 600.0
# Seconds of steps, after the one that compiles, that an expectation goes by.
_MEASURED = 10.0


class ExpectedTime:
    """Tells once how long the rest of a training is expected to take, if that is long.

    One that goes on from a checkpoint is not told of: it was when it began.

    Args:
        steps: of the whole training.
        told: called with the seconds, at the end of an early step.
        clock: seconds.

    """

    def __init__(
        self,
        steps: int,
        told: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._steps, self._told, self._clock = steps, told, clock
        self._ended = False
        self._first: tuple[int, float] | None = None

    def __call__(self, step: int) -> None:
        """Takes note of the end of a step; the first call says what was there already."""
        if self._ended or step == 0:
            return
        if self._first is None:
            self._first = step, self._clock()
            self._ended = step > 1
            return
        first, began = self._first
        if step <= first:
            # Rolled back to where it began, or before.
            self._first = step, self._clock()
            return
        passed = self._clock() - began
        left = (self._steps - step) * passed / (step - first)
        if passed >= _MEASURED or left < LONG / 10:
            self._ended = True
            if left >= LONG:
                self._told(left)
