"""Thread limit for small matrix products, in which several threads only wait for each other."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

from threadpoolctl import threadpool_limits

# About 20 ms of one core: below this, a core that another program holds costs more than all gain.
_WORTH_THREADS = 5e8


def threads_for(operations: float) -> AbstractContextManager[Any]:
    """Keep BLAS to one thread where its calls are small.

    Args:
        operations: additions and multiplications of one call.

    """
    if operations >= _WORTH_THREADS:
        return contextlib.nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(limits=1, user_api="blas")
    return limits
