"""Cluster of workers that train one model: what the environment variable ``TF_CONFIG`` says of it.

Nothing here needs TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import Any

from twofold.components.errors import SettingsError

VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["HOST:PORT", ...]}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers, and which of them this process is.

    Attributes:
        addresses: HOST:PORT of each worker, the chief's first.
        index: this worker's place among them.

    """

    addresses: tuple[str, ...]
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this is the worker whose files and clock count."""
        return self.index == 0

    def name(self, index: int) -> str:
        """Names a worker for people."""
        return f"{'the chief' if index == 0 else f'worker {index}'} ({self.addresses[index]})"


def read_cluster() -> Cluster:
    """Reads ``TF_CONFIG``; without one, or with other jobs alone, there is one worker, this one.

    Raises:
        SettingsError: if it describes no cluster.

    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return Cluster(("localhost:0",))
    try:
        value = json.loads(text)
        jobs = {job: _addresses(job, value.get("cluster", {})) for job in ("chief", "worker")}
        addresses = (*jobs["chief"], *jobs["worker"])
        if len(addresses) < 2:
            return Cluster(addresses or ("localhost:0",))
        return Cluster(addresses, _place(value.get("task", {}), jobs))
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{VARIABLE} describes no cluster: {error}; expected JSON such as {_EXAMPLE}"
        ) from error


def _addresses(job: str, cluster: dict[str, Any]) -> tuple[str, ...]:
    named = cluster.get(job, [])
    if isinstance(named, dict):
        named = [named[key] for key in sorted(named, key=int)]
    if not isinstance(named, list):
        raise TypeError(f"cluster.{job} is {named!r}")
    for address in named:
        host, colon, port = str(address).rpartition(":")
        if not (host and colon and port.isdigit()):
            raise ValueError(f"cluster.{job} holds {address!r}")
    return tuple(str(address) for address in named)


def _place(task: dict[str, Any], jobs: dict[str, tuple[str, ...]]) -> int:
    job, index = task.get("type"), task.get("index")
    if job not in jobs or not isinstance(index, int) or not 0 <= index < len(jobs[job]):
        raise ValueError(f"task is {task!r}, which is none of its workers")
    return index + (len(jobs["chief"]) if job == "worker" else 0)
