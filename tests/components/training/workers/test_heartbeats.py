"""A worker that is stopped or stuck keeps its connections, and is missed all the same."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.components.training.workers.as_threads import work
from twofold.components.training.workers.heartbeats import INTERVAL, Heartbeats
from twofold.components.training.workers.worker_group import WorkerLost

SECONDS = 20.0


class Pair:
    """Two workers that watch each other, by a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.one, self.other = (Heartbeats(lambda: self.now) for _ in range(2))
        connections = socket.socketpair()
        self.one.watch(1, connections[0])
        self.other.watch(0, connections[1])

    def live(self, seconds: float, *, stopped: bool = False) -> None:
        for _ in range(round(seconds / INTERVAL)):
            self.now += INTERVAL
            if not stopped:
                self.other.beat()
            self.one.beat()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    pair.live(1.0)
    yield pair
    pair.one.close()
    pair.other.close()


def test_one_that_is_stopped_is_missing_after_so_many_seconds(pair):
    pair.live(100.0)
    assert pair.one.missing(60.0) == {}
    pair.live(59.0, stopped=True)
    assert pair.one.missing(60.0) == {}
    pair.live(1.0, stopped=True)
    assert pair.one.missing(60.0) == {1: "has given no sign of life for 60 s"}
    pair.live(1.0)
    assert pair.one.missing(60.0) == {}


def test_a_pause_of_all_is_nobodys_silence(pair):
    pair.now += 3600.0
    pair.one.beat()
    assert pair.one.missing(2.0) == {}


def test_one_that_lives_and_does_not_begin_the_step_of_the_others_is_stuck(pair):
    for _ in range(300):
        pair.one.begin_step()
        pair.other.begin_step()
    pair.live(700.0)
    assert pair.one.missing(60.0) == pair.other.missing(60.0) == {}, "a long step is of all"
    pair.one.begin_step()
    pair.live(599.0)
    assert pair.one.missing(60.0) == {}
    pair.live(1.0)
    line = "lives, but has kept all waiting for its step for 600 s"
    assert pair.one.missing(60.0) == {1: line}
    assert pair.other.missing(60.0) == {}, "it knows that it is ahead of nobody"


def test_one_that_still_reads_its_images_is_waited_for(pair):
    pair.one.begin_step()
    pair.live(700.0)
    assert pair.one.missing(60.0) == {}


def test_all_are_told_who_does_not_answer():
    over = threading.Event()

    def waits(group):
        group.exchange(1)
        if not group.cluster.is_chief:
            return group.exchange(2)
        # Of worker 1, which does not beat here either, nothing is expected.
        group._heartbeats.forget(1)
        watching = threading.Thread(target=look, args=(group,))
        watching.start()
        try:
            return group.exchange(2)
        finally:
            over.set()
            watching.join()

    def look(group):
        while not over.wait(0.01):
            group.beat(0.05)

    def stops(group):
        group.exchange(1)
        assert over.wait(SECONDS)

    chief, other, _ = work(waits, waits, stops)
    for one in (chief, other):
        assert isinstance(one, WorkerLost)
        assert one.who.startswith("worker 2 (localhost:")
        assert str(one).endswith("has given no sign of life for 0 s)")
