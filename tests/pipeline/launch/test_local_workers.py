"""Local workers are started as one group, and again when one of them has died."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from twofold.components.errors import UsageError
from twofold.pipeline.launch import local_workers
from twofold.pipeline.launch.local_workers import Launch, launch

# What a worker does: it notes itself, and acts by its index and by how often it was started.
_WORKER = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
config = json.loads(os.environ["TF_CONFIG"])
index = config["task"]["index"]
start = len(list(folder.glob(f"{index}-*")))
(folder / f"{index}-{start}").write_text(json.dumps([config, sys.argv[2:]]))
print(f"worker {index}, start {start}", flush=True)
"""
_LOST = "sys.exit(75)"
_DIES = "os.kill(os.getpid(), signal.SIGKILL)"


class Group:
    """What was started of a launch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "started"
        self.folder.mkdir()
        self.logs = folder / "logs"
        self.said: list[str] = []

    def launch(self, does: str, *, max_restarts: int = 3, max_minutes: float | None = None) -> int:
        return launch(
            Launch(
                command=lambda left: [
                    *(sys.executable, "-S", "-E", "-c", _WORKER + does, str(self.folder)),
                    *([] if left is None else [str(left)]),
                ],
                workers=2,
                logs=self.logs,
                name="small",
                max_restarts=max_restarts,
                max_minutes=max_minutes,
                say=self.said.append,
            )
        )

    def started(self, index: int) -> list[tuple[dict[str, Any], list[str]]]:
        found = sorted(self.folder.glob(f"{index}-*"))
        return [tuple(json.loads(path.read_text())) for path in found]

    def wait_for(self, name: str) -> None:
        end = time.monotonic() + 20
        while not (self.folder / name).exists() and time.monotonic() < end:
            time.sleep(0.01)


@pytest.fixture
def group(tmp_path):
    return Group(tmp_path)


def test_workers_are_told_of_each_other_and_the_chief_is_shown(group, capfd):
    assert group.launch("") == 0
    ((chief, _),), ((other, _),) = group.started(0), group.started(1)
    assert chief["cluster"] == other["cluster"]
    assert len(set(chief["cluster"]["worker"])) == 2
    assert chief["task"] == {"type": "worker", "index": 0}
    assert other["task"] == {"type": "worker", "index": 1}
    assert capfd.readouterr().out == "worker 0, start 0\n"
    assert (group.logs / "small-worker-1.log").read_text() == "worker 1, start 0\n"
    assert group.said == [f"the output of worker 1 is in {group.logs / 'small-worker-1.log'}"]


def test_a_worker_that_dies_restarts_all(group):
    does = f"""
if start == 0:
    if index == 1: {_DIES}
    {_LOST}
"""
    assert group.launch(does) == 0
    assert len(group.started(0)) == len(group.started(1)) == 2
    assert group.said[1:] == [
        "worker 1 (SIGKILL) died: restart 1 of at most 3, from the last checkpoint"
    ]
    log = (group.logs / "small-worker-1.log").read_text()
    assert log == "worker 1, start 0\nworker 1, start 1\n"


def test_workers_that_have_lost_each_other_are_started_again(group):
    assert group.launch(f"if start == 0: {_LOST}") == 0
    assert "the group died: restart 1" in group.said[1]


def test_a_worker_that_dies_again_and_again_ends_all(group):
    assert group.launch(f"if index == 0: {_DIES}\n{_LOST}", max_restarts=1) == 1
    assert len(group.started(0)) == 2
    assert group.said[-1] == "the chief (SIGKILL) died, after 1 restarts: see --max-restarts"


@pytest.mark.parametrize("status", [1, 2, 4])
def test_a_worker_that_says_why_it_fails_is_not_started_again(group, status):
    assert group.launch(f"sys.exit({status} if index == 1 else 75)") == status
    assert len(group.started(1)) == 1
    log = group.logs / "small-worker-1.log"
    assert group.said[-1] == f"worker 1 (status {status}) failed: see {log}"


def test_a_worker_that_does_not_notice_is_ended(group, monkeypatch):
    monkeypatch.setattr(local_workers, "_NOTICE_SECONDS", 0.2)
    assert group.launch("if index == 1: sys.exit(2)\ntime.sleep(600)") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signals_reach_all_workers(group, number):
    does = f"""
signal.signal({int(number)}, lambda *_: sys.exit(143 if index else 130))
(folder / f"ready-{{index}}").touch()
while True: time.sleep(0.05)
"""

    def send():
        for index in (0, 1):
            group.wait_for(f"ready-{index}")
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    assert group.launch(does) == 130
    sender.join()
    assert len(group.started(0)) == len(group.started(1)) == 1


def test_a_time_limit_is_that_of_all_starts(group, monkeypatch):
    # Asked for the first start, after it, for the second, and after that.
    asked = iter([0.0, 2.0, 2.0, 5.0])
    monkeypatch.setattr(local_workers, "_minutes_since", lambda began: next(asked))
    does = f"""
if start == 0 and index == 1: {_DIES}
{_LOST}
"""
    assert group.launch(does, max_minutes=5.0) == 75
    assert [arguments for _, arguments in group.started(0)] == [["5.0"], ["3.0"]]


def test_gpus_are_shared_out_evenly():
    share = local_workers._share_gpus
    assert share(2, {"CUDA_VISIBLE_DEVICES": "3,1,0,2"}) == [
        {"CUDA_VISIBLE_DEVICES": "3,1"},
        {"CUDA_VISIBLE_DEVICES": "0,2"},
    ]
    assert share(2, {"CUDA_VISIBLE_DEVICES": "-1"}) == [{}, {}]
    with pytest.raises(UsageError, match="--workers 2 cannot share 3 GPUs evenly"):
        share(2, {"CUDA_VISIBLE_DEVICES": "0,1,2"})
