"""Agreement of workers on when to save and when to stop: at the same step, for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable

from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.workers.worker_group import Group

# Seconds from one exchange to the next: a small part of a grace period, and rare beside steps.
SECONDS = 2.0


class Agreement:
    """What all workers do after a step, of what each of them would.

    They exchange after the first step, and then about every ``seconds`` by the chief's clock, at
    steps that the chief names. A checkpoint is due when the chief decides it; a worker that is told
    to end ends all.

    Args:
        group: the workers.
        stop: of this worker; takes over what another one was told.
        seconds: between exchanges.
        clock: in seconds.

    """

    def __init__(
        self,
        group: Group,
        stop: StopRequest,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._stop = stop
        self._seconds = seconds
        self._clock = clock
        self._last: tuple[int, float] | None = None
        self._next = 0

    def __call__(self, step: int, *, late: bool) -> tuple[bool, bool]:
        """Agrees on what is due after a step.

        Args:
            step: that was made; every worker calls this after each step.
            late: whether a checkpoint is due by this worker's clock.

        Returns:
            Whether to save, and whether to end.

        Raises:
            WorkerLost: if a worker is gone.

        """
        if self._last is not None and step <= self._last[0]:
            # Rolled back, and maybe by more steps than a grace period has time for.
            self._last, self._next = None, step
        if step < self._next:
            return False, False
        now = self._clock()
        ahead = 1
        if self._last is not None:
            each = (now - self._last[1]) / (step - self._last[0])
            ahead = max(1, int(self._seconds / max(each, 1e-6)))
        told = self._stop.told
        wishes = self._group.exchange(
            {
                "late": late,
                "next": step + ahead,
                "told": None if told is None else [told.cause, told.status],
            }
        )
        self._last, self._next = (step, self._clock()), wishes[0]["next"]
        for index, wish in enumerate(wishes):
            if wish["told"] is not None:
                cause, status = wish["told"]
                if index != self._group.cluster.index:
                    cause = f"{cause} at {self._group.cluster.name(index)}"
                self._stop.take_over(cause, status)
                return True, True
        return bool(wishes[0]["late"]), False
