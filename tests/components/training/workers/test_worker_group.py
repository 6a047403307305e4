"""Workers meet at the chief's address, exchange what they know, and notice who is gone."""

import json
import select
import socket
import threading
import time

import pytest

from tests.components.training.workers.as_threads import free_addresses, work
from twofold.components.cluster import Cluster, read_cluster
from twofold.components.errors import SettingsError, UsageError
from twofold.components.training.resuming.interruption import TIME_IS_UP
from twofold.components.training.workers.worker_group import WorkerGroup, WorkerLost


def _tf_config(monkeypatch, cluster, task):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))


def test_a_chief_of_its_own_comes_before_the_workers(monkeypatch):
    cluster = {"chief": ["a:1"], "worker": ["b:2", "c:3"], "ps": ["d:4"]}
    _tf_config(monkeypatch, cluster, {"type": "worker", "index": 1})
    assert read_cluster() == Cluster(("a:1", "b:2", "c:3"), 2)
    _tf_config(monkeypatch, cluster, {"type": "chief", "index": 0})
    assert read_cluster().is_chief


def test_without_a_cluster_there_is_one_worker(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert len(read_cluster().addresses) == 1
    assert read_cluster().is_chief


@pytest.mark.parametrize(
    ("cluster", "task", "fault"),
    [
        ({"worker": ["a:1", "b:2"]}, {"type": "worker", "index": 2}, "task is"),
        ({"worker": ["a:1", "b:2"]}, {"type": "evaluator", "index": 0}, "task is"),
        ({"worker": ["a:1", "b"]}, {"type": "worker", "index": 0}, "cluster.worker holds 'b'"),
    ],
)
def test_a_cluster_without_a_place_for_this_worker_is_refused(monkeypatch, cluster, task, fault):
    _tf_config(monkeypatch, cluster, task)
    with pytest.raises(SettingsError, match=f"TF_CONFIG describes no cluster: {fault}"):
        read_cluster()


def test_all_workers_get_what_each_of_them_passed_in_their_order():
    jobs = [lambda group, own=own: (group.exchange(own), group.exchange(own * 2)) for own in "abc"]
    assert work(*jobs) == [(["a", "b", "c"], ["aa", "bb", "cc"])] * 3


def test_workers_receive_the_files_of_the_chief(tmp_path):
    content = {"weights": bytes(range(256)) * 9000, "deep/index": b"", "note": b"21"}
    for name, one in content.items():
        (tmp_path / "chief" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "chief" / name).write_bytes(one)
    results = work(
        lambda group: group.share_files(tmp_path / "chief", content),
        lambda group: group.share_files(tmp_path / "first", ()),
        lambda group: group.share_files(tmp_path / "second", ()),
    )
    assert results == [list(content)] * 3
    for place in ("first", "second"):
        assert {name: (tmp_path / place / name).read_bytes() for name in content} == content


def _lose(results):
    assert all(isinstance(one, WorkerLost) for one in results), results
    assert {one.status for one in results} == {TIME_IS_UP}
    return [str(one) for one in results]


def test_a_worker_that_ends_without_a_word_is_lost_to_all():
    def killed(group):
        group.exchange(1)
        group._others[0].shutdown(socket.SHUT_RDWR)

    stays = [lambda group: [group.exchange(1), group.exchange(2)]] * 2
    chief, _, other = work(stays[0], killed, stays[1])
    for line in _lose([chief, other]):
        assert "worker 1 (localhost:" in line
        assert "was lost" in line


@pytest.mark.parametrize("fails", [0, 2])
def test_a_worker_that_fails_says_why(fails):
    def fail(group):
        group.exchange(1)
        raise OSError("the disk\nis full")

    jobs = [lambda group: [group.exchange(1), group.exchange(2)] for _ in range(3)]
    jobs[fails] = fail
    results = work(*jobs)
    who = "the chief" if fails == 0 else "worker 2"
    for line in _lose([one for index, one in enumerate(results) if index != fails]):
        assert f"{who} (localhost:" in line
        assert "ended: the disk is full" in line


def test_a_worker_that_fails_before_it_has_met_the_chief_says_why():
    listening = threading.Event()

    def chief(group):
        listening.set()
        return group.exchange(1)

    def fail(group):
        assert listening.wait(20)
        raise ValueError("no such recipe")

    (line,) = _lose(work(chief, fail)[:1])
    assert "worker 1" in line
    assert "no such recipe" in line


def test_workers_that_wait_for_a_chief_learn_that_there_is_nothing_to_do():
    def chief(group):
        select.select([group._listener], [], [], 20)

    (line,) = _lose(work(chief, lambda group: group.exchange(1))[1:])
    assert "nothing to train" in line


def test_nobody_waits_for_ever():
    (line,) = _lose(work(lambda group: group.exchange(1), lambda group: None, patience=0.5)[:1])
    assert "worker 1" in line
    assert "has not come" in line


def test_other_programs_that_ask_at_the_address_are_no_workers():
    listening = threading.Event()

    def chief(group):
        listening.set()
        return group.exchange("a")

    def greet(group):
        assert listening.wait(20)
        host, _, port = group.cluster.addresses[0].rpartition(":")
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"", bytes(8) + b"[1]"):
            with socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(noise)
        return group.exchange("b")

    assert work(chief, greet) == [["a", "b"]] * 2


def test_an_address_that_is_taken_is_named():
    with free_addresses(2) as addresses, socket.socket() as taken:
        host, _, port = addresses[0].rpartition(":")
        taken.bind((host, int(port)))
        taken.listen()
        group = WorkerGroup(Cluster(addresses), lambda line: None)
        with pytest.raises(UsageError, match=f"cannot listen at {addresses[0]}"), group.opened():
            pass


def test_a_worker_that_has_ended_is_noticed_without_reading_from_it():
    def leave(group):
        group.exchange(1)

    def fail(group):
        group.exchange(1)
        raise ValueError("no")

    def look(group):
        group.exchange(1)
        while not group.is_incomplete():
            time.sleep(0.01)
        return group.find_lost(1.0).who

    for ends in (leave, fail):
        seen, _ = work(look, ends)
        assert seen.startswith("worker 1 (")


def test_nobody_is_lost_after_parting():
    def part(group):
        group.part()

    def stay(group):
        group.part()
        while select.select(list(group._others.values()), [], [], 1.0)[0] == []:
            pass
        return group.is_incomplete()

    assert work(stay, part) == [False, None]


def test_a_worker_waits_on_where_another_program_still_has_the_address():
    with free_addresses(2) as addresses, socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        host, _, port = addresses[0].rpartition(":")
        server.bind((host, int(port)))
        server.listen()
        results = []

        def worker():
            group = WorkerGroup(Cluster(addresses, 1), lambda line: None, 20.0)
            with group.opened():
                results.append(group.exchange("b"))

        waiting = threading.Thread(target=worker)
        waiting.start()
        # TensorFlow's server of an earlier attempt, which is about to end.
        connection, _ = server.accept()
        connection.sendall(b"PRI * HTTP/2.0")
        server.close()
        connection.close()
        chief = WorkerGroup(Cluster(addresses), lambda line: None, 20.0)
        with chief.opened():
            results.append(chief.exchange("a"))
        waiting.join()
    assert results == [["a", "b"]] * 2
