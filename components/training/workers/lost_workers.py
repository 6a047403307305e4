"""Lost workers, as TensorFlow reports them: which one, and in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

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
_SIGNS = (
    "Collective ops is aborted",
    "unhealthy",
    "Connection reset",
    "Socket closed",
    "heartbeat",
)
# The chief may learn of it later, and is the one to say who it was.
_SECONDS = 20.0


@contextmanager
def naming_lost_workers(workers: WorkerGroup) -> Iterator[None]:
    """Raises what the loss of a worker leads to in TensorFlow as what it is.

    Raises:
        WorkerLost: in place of TensorFlow's error.

    """
    try:
        yield
    except _ERRORS as error:
        if not any(sign in str(error) for sign in _SIGNS):
            raise
        lost = workers.find_lost(_SECONDS)
        raise (lost or WorkerLost("a worker", "TensorFlow lost its connection")) from None
