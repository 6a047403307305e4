"""Lost workers: noticed while TensorFlow waits for them, and named in one line."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tensorflow as tf

from twofold.components.training.resuming.interruption import TIME_IS_UP
from twofold.components.training.workers.heartbeats import INTERVAL
from twofold.components.training.workers.worker_group import WorkerGroup, WorkerLost

# Errors of a collective operation that lacks somebody; any other one is of this worker.
_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_ABORTED = "Collective ops is aborted"
_SIGNS = (_ABORTED, "unhealthy", "Connection reset", "Socket closed", "heartbeat")
# The chief may learn of it later, and is the one to say who it was.
_SECONDS = 10.0
# How long TensorFlow's join may take to notice by itself; it might wait forever.
_JOIN_SECONDS = 10.0


class Watch:
    """Whether TensorFlow has joined the workers, which decides what can be done about a loss."""

    def __init__(self) -> None:
        self.joined = False


@contextmanager
def naming_lost_workers(workers: WorkerGroup, patience: float = math.inf) -> Iterator[Watch]:
    """Ends what waits for a worker that is gone, or does not answer, as what it is.

    TensorFlow notices a killed process after some ten seconds, and a collective operation waits for
    it until then; here it is aborted at once. One that is stopped it would wait for longer.

    Args:
        workers: that train together.
        patience: seconds without a sign of life of another worker.

    Yields:
        To be told when the workers have joined.

    Raises:
        WorkerLost: in place of TensorFlow's error.

    """
    watch, ended = Watch(), threading.Event()
    watching = threading.Thread(target=_look, args=(workers, patience, watch, ended), daemon=True)
    watching.start()
    try:
        yield watch
    except _ERRORS as error:
        if not any(sign in str(error) for sign in _SIGNS):
            raise
        lost = workers.find_lost(_SECONDS)
        raise (lost or WorkerLost("a worker", "it answers TensorFlow no more")) from None
    finally:
        ended.set()
        watching.join()


def _look(workers: WorkerGroup, patience: float, watch: Watch, ended: threading.Event) -> None:
    """Waits until a worker is gone, or does not answer, or training has ended."""
    while not workers.is_incomplete():
        if ended.wait(INTERVAL):
            return
        workers.beat(patience)
    if not watch.joined and not ended.wait(_JOIN_SECONDS) and not watch.joined:
        # The main thread is in TensorFlow, which nothing brings back from there.
        lost = workers.find_lost(_SECONDS) or WorkerLost("a worker")
        print(lost, file=sys.stderr, flush=True)
        os._exit(TIME_IS_UP)
    abort = _abort_collectives()
    if abort is not None and not ended.is_set():
        abort(tf.errors.UNAVAILABLE, f"{_ABORTED}: a worker is gone")


def _abort_collectives() -> Callable[[int, str], None] | None:
    """Gives TensorFlow's own way to do so, which is not public, where this version has it."""
    try:
        from tensorflow.python.eager import context

        abort: Callable[[int, str], None] = context.context().abort_collective_ops
    except (ImportError, AttributeError):
        return None
    return abort
