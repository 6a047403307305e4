"""Group of workers: how processes that train one model meet, agree, and notice who is gone.

Each worker has a connection to the chief, at the chief's address in ``TF_CONFIG``, which TensorFlow
takes over once all are there. A process that ends, however it does, ends its connections, so that
the others know at once; one that is stopped or stuck misses its heartbeats, for which there is
another connection. As with TensorFlow's own protocol, whoever reaches that address is trusted.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from twofold.components import files
from twofold.components.cluster import Cluster
from twofold.components.errors import UsageError
from twofold.components.training.resuming.interruption import TIME_IS_UP, Interruption
from twofold.components.training.workers.connections import (
    encode_message,
    has_ended,
    is_leaving,
    listen,
    read_message,
    set_keep_alive,
)
from twofold.components.training.workers.heartbeats import Heartbeats

_Batch = TypeVar("_Batch")
_Metrics = TypeVar("_Metrics")

_CHUNK = 1 << 20
# A greeting of a program that is no worker is not waited for.
_GREETING_SECONDS = 5.0
_HELLO = "twofold worker"
# Seconds between what is said while a worker is waited for.
_REMINDER = 30.0
# How long a worker is waited for before training; the chief may have to prepare the images.
JOIN_SECONDS = 3600.0


class WorkerLost(Interruption):
    """A worker of the group is gone; the same command on all of them goes on where they were.

    Args:
        who: the worker.
        reason: what it said before it ended; empty where it could not.
        silence: what is expected of it in vain, where it has not ended.

    """

    def __init__(self, who: str, reason: str = "", silence: str = "") -> None:
        what = silence or (f"ended: {reason}" if reason else "was lost")
        super().__init__(f"{who} {what}", TIME_IS_UP)
        self.who = who
        self.reason = reason
        self.silence = silence


class Group(Protocol):
    """What workers do together, each of them the same calls in the same order."""

    @property
    def cluster(self) -> Cluster:
        """The workers, and which of them this process is."""

    def exchange(self, value: Any) -> list[Any]:
        """Gives what every worker passed, in order of the workers; waits for all of them.

        Raises:
            WorkerLost: if one of them is gone.

        """

    def share_files(self, folder: Path, names: Iterable[str]) -> list[str]:
        """Gives all workers files of the chief.

        Args:
            folder: the chief's, or where to write them.
            names: of the files within it; what a worker other than the chief passes is ignored.

        Returns:
            The names.

        """


class WorkerGroup:
    """The connections of one worker.

    Args:
        cluster: of at least two workers.
        say: told who is waited for.
        patience: seconds for which a worker is waited for before training.

    """

    def __init__(
        self, cluster: Cluster, say: Callable[[str], None], patience: float = JOIN_SECONDS
    ) -> None:
        self.cluster = cluster
        self._say = say
        self._patience = patience
        self._others: dict[int, socket.socket] = {}
        self._heartbeats = Heartbeats()
        self._silences: dict[int, str] = {}
        self._listener: socket.socket | None = None
        self._parted = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[WorkerGroup]:
        """Lets the others know that this worker is there, and, at the end, how it ended.

        Raises:
            UsageError: if the chief cannot listen at its address.

        """
        if self.cluster.is_chief:
            self._listener = listen(self.cluster.addresses[0])
        try:
            yield self
        except WorkerLost as lost:
            self._leave({"who": lost.who, "reason": lost.reason, "silence": lost.silence})
            raise
        except BaseException as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            self._leave({"who": self.cluster.name(self.cluster.index), "reason": reason[:500]})
            raise
        else:
            # Whoever waits to be let in is not needed.
            waiting = self._listener is not None
            who = self.cluster.name(self.cluster.index)
            self._leave({"who": who, "reason": "there was nothing to train"} if waiting else None)

    def join(self) -> None:
        """Waits until the chief is there; for the chief, until all are.

        Raises:
            WorkerLost: if somebody does not come.

        """
        if self._others:
            return
        if self.cluster.is_chief:
            self._gather()
            return
        self._find_chief()

    def exchange(self, value: Any) -> list[Any]:
        """Gives what every worker passed; see ``Group``."""
        self.join()
        if not self.cluster.is_chief:
            self._send(0, {"value": value})
            return list(self._receive(0)["values"])
        values = [value, *(self._receive(index)["value"] for index in self._indices)]
        for index in self._indices:
            self._send(index, {"values": values})
        # As the others get them.
        return list(json.loads(json.dumps(values)))

    def share_files(self, folder: Path, names: Iterable[str]) -> list[str]:
        """Gives all workers files of the chief; see ``Group``."""
        self.join()
        if not self.cluster.is_chief:
            return self._take_files(folder)
        sizes = {name: (folder / name).stat().st_size for name in names}
        for index in self._indices:
            self._send(index, {"files": sizes})
        for name in sizes:
            with (folder / name).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    for index in self._indices:
                        self._send_bytes(index, chunk)
        return list(sizes)

    def part(self) -> None:
        """Lets all go when the last one is done; from then on nobody is lost.

        Raises:
            WorkerLost: if one of them is gone before.

        """
        self.exchange(None)
        self._parted = True

    def is_incomplete(self) -> bool:
        """Tells whether a worker is gone; may be asked by another thread."""
        return not self._parted and any(is_leaving(one) for one in list(self._others.values()))

    def counted(self, step: Callable[[_Batch], _Metrics]) -> Callable[[_Batch], _Metrics]:
        """Lets the others know of each step that this worker begins."""

        def count(batch: _Batch) -> _Metrics:
            self._heartbeats.begin_step()
            return step(batch)

        return count

    def beat(self, patience: float) -> None:
        """Gives a sign of life, and parts from those who give none; by another thread, often.

        Args:
            patience: seconds without one; see ``Heartbeats.missing``.

        """
        if self._parted:
            return
        self._heartbeats.beat()
        for index, silence in self._heartbeats.missing(patience).items():
            self._heartbeats.forget(index)
            self._silences[index] = silence
            with contextlib.suppress(OSError):
                # Whoever waits for it learns so.
                self._others[index].shutdown(socket.SHUT_RDWR)

    def find_lost(self, seconds: float) -> WorkerLost | None:
        """Looks for a worker that is gone, after TensorFlow has said that one is.

        Args:
            seconds: how long to look.

        """
        end = time.monotonic() + seconds
        while self._others and (left := end - time.monotonic()) > 0:
            readable, _, _ = select.select(list(self._others.values()), [], [], left)
            for index in [one for one in self._indices if self._others[one] in readable]:
                try:
                    # What it sent before it noticed is of no use any more.
                    self._receive(index)
                except WorkerLost as lost:
                    return lost
        return None

    @property
    def _indices(self) -> list[int]:
        return sorted(self._others)

    def _gather(self) -> None:
        assert self._listener is not None
        wait = _Wait(self._patience, self._say)
        while True:
            for index in self._indices:
                if has_ended(self._others[index]):
                    self._others.pop(index).close()
                    self._heartbeats.forget(index)
            missing = {
                index
                for index in range(1, len(self.cluster.addresses))
                if not self._is_there(index)
            }
            if not missing:
                break
            if wait.over(", ".join(self.cluster.name(index) for index in sorted(missing))):
                raise WorkerLost(self.cluster.name(min(missing)), "it has not come")
            self._listener.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                self._welcome(self._listener.accept()[0])
        # TensorFlow is to listen there.
        self._listener.close()
        self._listener = None
        for index in self._indices:
            self._send(index, {"ready": True})

    def _is_there(self, index: int) -> bool:
        """Tells whether a worker has come with both its connections, or to say why it ends."""
        if index not in self._others:
            return False
        return self._heartbeats.watches(index) or is_leaving(self._others[index])

    def _welcome(self, other: socket.socket) -> None:
        other.settimeout(_GREETING_SECONDS)
        try:
            hello = read_message(other)
            index = int(hello["index"])
            known = hello["hello"] == _HELLO and 0 < index < len(self.cluster.addresses)
        except (OSError, EOFError, ValueError, TypeError, KeyError):
            known = False
        if not known:
            other.close()
            return
        set_keep_alive(other)
        if hello.get("beats"):
            self._heartbeats.watch(index, other)
            return
        if index in self._others:
            self._others.pop(index).close()
            self._heartbeats.forget(index)
        self._others[index] = other

    def _find_chief(self) -> None:
        wait = _Wait(self._patience, self._say)
        while True:
            with contextlib.suppress(OSError):
                chief = self._greet()
                if not self._begin_beating() and not select.select([chief], [], [], 1.0)[0]:
                    chief.close()
                    raise ConnectionError
                # Nothing is said before the chief needs this worker.
                while not select.select([chief], [], [], 1.0)[0]:
                    wait.over("the chief, which prepares the images or waits for others")
                if self._is_ready():
                    return
                chief.close()
            self._others = {}
            if wait.over(self.cluster.name(0)):
                raise WorkerLost(self.cluster.name(0), "it has not come")
            time.sleep(0.2)

    def _begin_beating(self) -> bool:
        """Opens the second connection; one that is leaving has closed its door."""
        try:
            self._heartbeats.watch(0, self._call({"beats": True}))
        except OSError:
            return False
        return True

    def _is_ready(self) -> bool:
        """Reads what the chief says first; what is no chief's, or of one that is gone, is none."""
        try:
            return bool(self._receive(0)["ready"])
        except KeyError:
            return False
        except WorkerLost as lost:
            if lost.reason:
                raise
            return False

    def _greet(self) -> socket.socket:
        chief = self._call({})
        self._others = {0: chief}
        return chief

    def _call(self, what: dict[str, Any]) -> socket.socket:
        host, _, port = self.cluster.addresses[0].rpartition(":")
        chief = socket.create_connection((host.strip("[]"), int(port)), timeout=2.0)
        set_keep_alive(chief)
        chief.sendall(encode_message({"hello": _HELLO, "index": self.cluster.index, **what}))
        return chief

    def _take_files(self, folder: Path) -> list[str]:
        sizes = self._receive(0)["files"]
        for name, size in sizes.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise UsageError(f"the chief sends a file outside its folder: {name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.new_file(path) as file:
                while size:
                    chunk = self._receive_bytes(0, min(size, _CHUNK))
                    file.write(chunk)
                    size -= len(chunk)
        return list(sizes)

    def _send(self, index: int, value: Any) -> None:
        self._send_bytes(index, encode_message(value))

    def _send_bytes(self, index: int, content: bytes) -> None:
        try:
            self._others[index].sendall(content)
        except OSError:
            raise self._last_words(index) from None

    def _receive(self, index: int) -> Any:
        try:
            value = read_message(self._others[index])
        except (OSError, EOFError, TypeError, ValueError):
            raise self._lost(index) from None
        if (left := value.get("left")) is not None:
            raise WorkerLost(left["who"], left["reason"], left.get("silence", ""))
        return value

    def _receive_bytes(self, index: int, most: int) -> bytes:
        try:
            content = self._others[index].recv(most)
        except OSError:
            content = b""
        if not content:
            raise self._lost(index)
        return content

    def _lost(self, index: int) -> WorkerLost:
        return WorkerLost(self.cluster.name(index), silence=self._silences.get(index, ""))

    def _last_words(self, index: int) -> WorkerLost:
        """Reads what a worker still said that takes nothing any more."""
        try:
            while True:
                self._receive(index)
        except WorkerLost as lost:
            return lost

    def _leave(self, left: dict[str, str] | None) -> None:
        if self._listener is not None:
            # Who waits to be let in is to know, too.
            self._listener.settimeout(0.0)
            with contextlib.suppress(OSError):
                while left is not None:
                    self._welcome(self._listener.accept()[0])
            self._listener.close()
        elif left is not None and not self.cluster.is_chief and not self._others:
            # The chief would wait for this worker.
            with contextlib.suppress(OSError, WorkerLost):
                self._greet()
        for index in self._indices:
            if left is not None:
                with contextlib.suppress(WorkerLost):
                    self._send(index, {"left": left})
            self._others.pop(index).close()
        self._heartbeats.close()


class _Wait:
    """A wait that says what for."""

    def __init__(self, patience: float, say: Callable[[str], None]) -> None:
        self._start = self._said = time.monotonic()
        self._patience = patience
        self._say = say

    def over(self, whom: str) -> bool:
        """Tells whether it took too long."""
        now = time.monotonic()
        if now - self._said >= _REMINDER:
            self._said = now
            self._say(f"waiting for {whom} since {now - self._start:.0f} s")
        return now - self._start >= self._patience
