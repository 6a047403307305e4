"""Workers as threads of one process, each with a group of its own."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twofold.components.cluster import Cluster
from twofold.components.training.workers.worker_group import WorkerGroup

# Beyond this a worker waits for one that does not come; a test would hang.
PATIENCE = 20.0


@contextlib.contextmanager
def free_addresses(count: int) -> Iterator[tuple[str, ...]]:
    """Finds ports that are free, all at once, or one might be found twice."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        addresses = tuple(f"localhost:{one.getsockname()[1]}" for one in sockets)
    yield addresses


def work(
    *jobs: Callable[[WorkerGroup], Any],
    say: Callable[[str], None] = lambda line: None,
    patience: float = PATIENCE,
) -> list[Any]:
    """Lets each worker do its job.

    Args:
        jobs: one for each worker, the chief's first.
        say: told who is waited for.
        patience: seconds.

    Returns:
        What the jobs returned, or the exception that each ended with.

    """

    def run(index: int) -> Any:
        try:
            with WorkerGroup(Cluster(addresses, index), say, patience).opened() as group:
                return jobs[index](group)
        except BaseException as error:
            return error

    with free_addresses(len(jobs)) as addresses, ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, range(len(jobs))))
