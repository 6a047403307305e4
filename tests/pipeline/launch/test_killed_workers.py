"""Two workers, one of them killed or stopped, end with what undisturbed ones do, bit for bit.

Each case takes four to eight processes that import TensorFlow: run by `make test-workers`.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.pipeline.conftest import SHORT
from twofold.components.training.resuming.checkpoint_files import list_checkpoints

pytestmark = [
    pytest.mark.workers,
    pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc"),
]

EPOCHS = 16
NAME = "folder_simclr"
TIMEOUT_SECONDS = 900
# What differs between two runs of the same: times and rates.
CLOCKS = ("images_per_second", "wall_time")


@dataclasses.dataclass(frozen=True)
class Training:
    """A run of two workers."""

    images: Path
    workdir: Path
    settings: tuple[str, ...]

    @property
    def run(self) -> Path:
        return self.workdir / NAME

    @property
    def checkpoints(self) -> Path:
        return self.run / "checkpoints"

    def start(self, *options: str, workers: int = 2) -> subprocess.Popen[bytes]:
        chosen = (
            *SHORT,
            f"training.epochs={EPOCHS}",
            "training.checkpoint_every_epochs=1",
            f"data.path=['{self.images}']",
            *self.settings,
        )
        command = ["launch", "--workers", "2"] if workers == 2 else ["run"]
        with (self.workdir / "out").open("ab") as out, (self.workdir / "err").open("ab") as err:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "twofold", *command, *options, NAME),
                    *("--workdir", str(self.workdir), "--until", "pretrain"),
                    *[part for setting in chosen for part in ("--set", setting)],
                ],
                stdout=out,
                stderr=err,
            )

    def said(self) -> str:
        return (self.workdir / "err").read_text(errors="replace")

    def left(self) -> dict[str, Any]:
        """What the run ends with: weights, all that a checkpoint holds, and the curves."""
        newest = list_checkpoints(self.checkpoints)[0]
        lines = (self.run / "metrics.jsonl").read_text().splitlines()
        return {
            "final": _tensors(self.checkpoints / "final" / "weights"),
            "state": {"step": newest.step, **_tensors(Path(newest.prefix))},
            "curves": [
                {key: value for key, value in json.loads(line).items() if key not in CLOCKS}
                for line in lines
            ],
        }


def _tensors(prefix: Path) -> dict[str, Any]:
    reader = tf.train.load_checkpoint(str(prefix))
    return {
        name: reader.get_tensor(name)
        for name in sorted(reader.get_variable_to_shape_map())
        if "OBJECT_GRAPH" not in name
    }


def assert_same(one: Any, other: Any, path: str = "") -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), path
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{path}/{index}")
    else:
        np.testing.assert_array_equal(one, other, err_msg=path)


def workers_of(launcher: subprocess.Popen[bytes]) -> dict[int, int]:
    """Gives the processes of a group by their index."""
    found = {}
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children")
    for pid in children.read_text().split() if children.exists() else ():
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        for variable in variables:
            name, _, value = variable.partition(b"=")
            if name == b"TF_CONFIG" and value:
                found[json.loads(value)["task"]["index"]] = int(pid)
    return found


def hit(
    training: Training,
    launcher: subprocess.Popen[bytes],
    number: int,
    victim: int,
    due: Callable[[Training], bool],
) -> None:
    """Sends a worker a signal as soon as it is due."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not due(training):
        assert launcher.poll() is None, training.said()
        assert time.monotonic() < end, training.said()
        time.sleep(0.002)
    os.kill(workers_of(launcher)[victim], number)


def checkpoints_there(training: Training) -> bool:
    return len(list_checkpoints(training.checkpoints)) >= 2


def worker_is_there(training: Training) -> bool:
    return any((training.workdir / ".workers").glob(f"{NAME}-1-*"))


def being_saved(training: Training) -> bool:
    return checkpoints_there(training) and any(training.checkpoints.glob(".tmp-ckpt-*"))


def teacher_is_saved(training: Training) -> bool:
    return bool(list_checkpoints(training.run / "teacher"))


METHODS: dict[str, tuple[str, ...]] = {
    "simclr": ("training.averaging={kind: ema}",),
    "nnclr": ("method={name: nnclr, queue_size: 16}",),
    "byol": ("method={name: byol}",),
    "barlow_twins": ("method={name: barlow_twins, projector: [16, 16]}",),
    "self_training": (
        "method={name: self_training, teacher: {training: {batch_size: 8, epochs: 16, "
        "warmup_epochs: 0, compile: none, checkpoint_every_epochs: 1}}}",
    ),
}
KILLS = [
    ("nnclr", 1, checkpoints_there),
    ("byol", 0, checkpoints_there),
    ("barlow_twins", 1, worker_is_there),
    ("simclr", 0, being_saved),
    ("self_training", 1, teacher_is_saved),
]


@pytest.fixture(scope="module")
def images(two_classes: Path) -> Path:
    return two_classes


@pytest.fixture(scope="module")
def undisturbed(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Gives what an undisturbed run of a method ends with."""
    left: dict[str, Any] = {}

    def run(method: str) -> Any:
        if method not in left:
            training = Training(images, tmp_path_factory.mktemp(method), METHODS[method])
            assert training.start().wait(TIMEOUT_SECONDS) == 0, training.said()
            left[method] = training.left()
        return left[method]

    return run


def _finish(training: Training, *, workers: int = 2) -> None:
    assert training.start(workers=workers).wait(TIMEOUT_SECONDS) == 0, training.said()


@pytest.mark.parametrize(("method", "victim", "due"), KILLS)
def test_a_killed_worker_is_started_again(
    images: Path,
    tmp_path: Path,
    undisturbed: Callable[[str], Any],
    method: str,
    victim: int,
    due: Callable[[Training], bool],
) -> None:
    training = Training(images, tmp_path, METHODS[method])
    launcher = training.start()
    hit(training, launcher, signal.SIGKILL, victim, due)
    assert launcher.wait(TIMEOUT_SECONDS) == 0, training.said()
    assert "restart 1 of at most 3" in training.said()
    assert_same(training.left(), undisturbed(method))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_stopped_worker_is_missed_and_started_again(
    images: Path, tmp_path: Path, undisturbed: Callable[[str], Any], victim: int
) -> None:
    patient = (*METHODS["simclr"], "training.worker_timeout_seconds=5")
    training = Training(images, tmp_path, patient)
    launcher = training.start()
    hit(training, launcher, signal.SIGSTOP, victim, checkpoints_there)
    assert launcher.wait(TIMEOUT_SECONDS) == 0, training.said()
    (log,) = (training.workdir / ".workers").glob("*-worker-1.log")
    said = f"{training.said()}{log.read_text(errors='replace')}"
    who = "the chief" if victim == 0 else "worker 1"
    assert f"{who} (localhost:" in said
    assert "has given no sign of life for 5 s" in " ".join(said.split())
    assert "restart 1 of at most 3" in said
    assert_same(training.left(), undisturbed("simclr"))


@pytest.mark.parametrize("victim", [0, 1])
def test_a_signal_at_any_worker_ends_all_with_a_checkpoint(
    images: Path, tmp_path: Path, undisturbed: Callable[[str], Any], victim: int
) -> None:
    training = Training(images, tmp_path, METHODS["simclr"])
    launcher = training.start()
    hit(training, launcher, signal.SIGTERM, victim, checkpoints_there)
    assert launcher.wait(TIMEOUT_SECONDS) == 143, training.said()
    record = json.loads((training.run / "run.json").read_text())["steps"]["pretrain"]
    step = list_checkpoints(training.checkpoints)[0].step
    assert record["status"] == "interrupted"
    assert f"interrupted at step {step} (SIGTERM" in record["error"]
    _finish(training)
    assert_same(training.left(), undisturbed("simclr"))


def test_a_damaged_checkpoint_of_the_chief_is_passed_over_by_all(
    images: Path, tmp_path: Path, undisturbed: Callable[[str], Any]
) -> None:
    training = Training(images, tmp_path, METHODS["simclr"])
    launcher = training.start("--max-restarts", "0")
    hit(training, launcher, signal.SIGKILL, 1, checkpoints_there)
    assert launcher.wait(TIMEOUT_SECONDS) == 1, training.said()
    (state,) = list_checkpoints(training.checkpoints)[0].path.glob("state.data-*")
    state.write_bytes(state.read_bytes()[:-9])
    _finish(training)
    assert_same(training.left(), undisturbed("simclr"))


def test_one_process_goes_on_with_the_global_batch_of_two_workers(
    images: Path, tmp_path: Path, undisturbed: Callable[[str], Any]
) -> None:
    training = Training(images, tmp_path, METHODS["simclr"])
    launcher = training.start()
    hit(training, launcher, signal.SIGTERM, 0, checkpoints_there)
    assert launcher.wait(TIMEOUT_SECONDS) == 143, training.said()
    assert list_checkpoints(training.checkpoints)[0].step < undisturbed("simclr")["state"]["step"]
    _finish(training, workers=1)
    left, expected = training.left(), undisturbed("simclr")
    assert left["state"]["step"] == expected["state"]["step"]
    assert_alike(left["final"], expected["final"])


def assert_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Compares weights that were rounded otherwise."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-2, atol=1e-3, err_msg=name)
