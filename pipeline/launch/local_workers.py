"""Local workers: processes on this machine that train one model, started, watched and restarted."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from twofold.components.cluster import VARIABLE
from twofold.components.errors import UsageError
from twofold.components.training.resuming.interruption import STATUSES, TIME_IS_UP
from twofold.pipeline.launch import launcher_watch

_GPUS = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.1
# How long the others of a worker that is gone have to notice and to end by themselves.
_NOTICE_SECONDS = 60.0
# A signal ends training with a checkpoint; whoever sends the third does not want to wait.
_PATIENCE = 3
_TOLD = frozenset(STATUSES.values())


@dataclasses.dataclass(frozen=True)
class Launch:
    """What to start.

    Attributes:
        command: gives the command of a worker, for the minutes that are left; None for no limit.
        workers: how many.
        logs: the folder that takes the output of all but the chief.
        name: of the logs.
        max_restarts: how often the group is started again after a worker died.
        max_minutes: after which the run is to end, over all starts; None for no limit.
        say: prints one line for a person.

    """

    command: Callable[[float | None], Sequence[str]]
    workers: int
    logs: Path
    name: str
    max_restarts: int
    max_minutes: float | None
    say: Callable[[str], None]

    def log(self, index: int) -> Path:
        """The file of a worker's output."""
        return self.logs / f"{self.name}-worker-{index}.log"


class _Signals:
    """Passes signals on to the workers of the moment."""

    def __init__(self) -> None:
        self.workers: list[subprocess.Popen[bytes]] = []
        self.count = 0

    def take(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL if self.count >= _PATIENCE else number)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.take) for number in STATUSES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def launch(what: Launch) -> int:
    """Runs workers until they are done, and starts them again when one has died.

    A worker dies when a signal ends it, as one does for lack of memory. One that ends with a status
    of its own has said why, and would do so again.

    Returns:
        The exit status of the whole: 0 done; of a worker that failed; 143, 130 or 75 as of a run
        that was told to end; 1 where workers died more often than they may.

    """
    began, restarts = time.monotonic(), 0
    what.logs.mkdir(parents=True, exist_ok=True)
    for index in range(1, what.workers):
        what.say(f"the output of worker {index} is in {what.log(index)}")
    signals = _Signals()
    with signals.listening():
        while True:
            left = None
            if what.max_minutes is not None:
                left = max(0.0, what.max_minutes - _minutes_since(began))
            statuses = _run_once(what, what.command(left), signals, append=restarts > 0)
            over = what.max_minutes is not None and _minutes_since(began) >= what.max_minutes
            ended = _verdict(statuses, told=signals.count > 0, time_is_up=over)
            if ended is not None:
                _explain(what, statuses)
                return ended
            died = [index for index, status in enumerate(statuses) if status < 0]
            who = ", ".join(_describe(index, statuses[index]) for index in died) or "the group"
            if restarts >= what.max_restarts:
                what.say(f"{who} died, after {restarts} restarts: see --max-restarts")
                return 1
            restarts += 1
            what.say(
                f"{who} died: restart {restarts} of at most {what.max_restarts}, from the last "
                f"checkpoint"
            )


def _minutes_since(began: float) -> float:
    return (time.monotonic() - began) / 60


def _verdict(statuses: Sequence[int], *, told: bool, time_is_up: bool) -> int | None:
    """Tells with what status all is over; None where the group is to be started again."""
    if not any(statuses):
        return 0
    failed = [status for status in statuses if status > 0 and status not in (TIME_IS_UP, *_TOLD)]
    if failed and not any(status < 0 for status in statuses):
        return failed[0]
    ended = [status for status in statuses if status in _TOLD]
    if ended:
        return ended[0]
    if told:
        return next((128 - status for status in statuses if status < 0), TIME_IS_UP)
    return TIME_IS_UP if time_is_up else None


def _run_once(
    what: Launch, command: Sequence[str], signals: _Signals, *, append: bool
) -> list[int]:
    """Starts the group, and waits until all of it has ended."""
    addresses = _free_addresses(what.workers)
    devices = _share_gpus(what.workers, os.environ)
    with contextlib.ExitStack() as stack:
        for index in range(what.workers):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            output = None
            if index > 0:
                mode = "ab" if append else "wb"
                output = stack.enter_context(what.log(index).open(mode))
            worker = subprocess.Popen(
                command,
                env={
                    **os.environ,
                    **devices[index],
                    VARIABLE: json.dumps(task),
                    launcher_watch.VARIABLE: str(os.getpid()),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A terminal's Ctrl-C reaches this process alone, which passes it on once.
                start_new_session=True,
            )
            signals.workers.append(worker)
            stack.callback(_end, worker)
        statuses = _wait(signals.workers)
        signals.workers = []
    return statuses


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Waits until all have ended; who does not after another one is ended as lost to the group."""
    noticed: float | None = None
    lost: set[int] = set()
    while any(worker.poll() is None for worker in workers):
        over = workers[0].poll() is not None or any(worker.poll() for worker in workers)
        if over and noticed is None:
            noticed = time.monotonic()
        if noticed is not None and time.monotonic() - noticed >= _NOTICE_SECONDS:
            lost = {index for index, worker in enumerate(workers) if worker.poll() is None}
            for index in lost:
                _end(workers[index])
        time.sleep(_POLL_SECONDS)
    return [
        TIME_IS_UP if index in lost else worker.returncode for index, worker in enumerate(workers)
    ]


def _end(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        worker.kill()
        worker.wait()


def _explain(what: Launch, statuses: Sequence[int]) -> None:
    for index, status in enumerate(statuses):
        if index > 0 and status and status not in (TIME_IS_UP, *_TOLD):
            what.say(f"{_describe(index, status)} failed: see {what.log(index)}")


def _describe(index: int, status: int) -> str:
    who = "the chief" if index == 0 else f"worker {index}"
    return f"{who} ({signal.Signals(-status).name if status < 0 else f'status {status}'})"


def _free_addresses(count: int) -> list[str]:
    """Finds ports that are free, all at once, or one might be found twice."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [f"localhost:{one.getsockname()[1]}" for one in found]


def _share_gpus(workers: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Gives each worker its GPUs, as many to each.

    Raises:
        UsageError: if there are GPUs that cannot be shared out evenly.

    """
    named = environment.get(_GPUS)
    if named is not None:
        gpus = [one for one in named.split(",") if one.strip() not in ("", "-1")]
    else:
        folder = Path("/proc/driver/nvidia/gpus")
        gpus = [str(index) for index, _ in enumerate(folder.iterdir())] if folder.is_dir() else []
    if not gpus:
        return [{} for _ in range(workers)]
    if len(gpus) % workers:
        raise UsageError(
            f"--workers {workers} cannot share {len(gpus)} GPUs evenly: choose another number, or "
            f"some of the GPUs by {_GPUS}"
        )
    each = len(gpus) // workers
    return [{_GPUS: ",".join(gpus[index * each : (index + 1) * each])} for index in range(workers)]
