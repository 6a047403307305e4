"""Training goes on while its checkpoints are written, and none of them knows of later steps."""

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.components.training.small_training import STEPS, KilledError, Training
from tests.components.training.workers.as_threads import work
from twofold.components.errors import CheckpointError
from twofold.components.training.resuming.background_writer import BackgroundWriter
from twofold.components.training.resuming.checkpoint_files import (
    list_checkpoints,
    write_checksums,
)
from twofold.components.training.resuming.weights_files import read_weights, write_weights
from twofold.components.training.workers.shared_checkpoints import SharedCheckpoints

SECONDS = 20.0
# What comes last of each write.
_LAST = "twofold.components.training.checkpoint.write_checksums"


class SlowDisk:
    """A disk that takes nothing until it is told to, as seen by checkpoints.

    Attributes:
        asked: is set when something is to be written.
        takes: lets it.

    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.takes = threading.Event(), threading.Event()
        self.under_way: list[Path] = []

        def write(directory: Path) -> None:
            self.under_way.append(directory)
            assert len(self.under_way) == 1, "one at a time"
            self.asked.set()
            assert self.takes.wait(SECONDS)
            write_checksums(directory)
            self.under_way.pop()

        monkeypatch.setattr(_LAST, write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    return SlowDisk(monkeypatch)


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path / "slow")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Training:
    training = Training(tmp_path_factory.mktemp("whole"))
    training.weights = training()
    return training


def test_steps_are_made_meanwhile_and_change_nothing_of_it(training, whole, disk, tmp_path):
    def look(step: int) -> None:
        if step == 5:
            assert disk.asked.wait(SECONDS)
            assert [name[:10] for name in training.there] == [".tmp-ckpt-"]
            disk.takes.set()
            training.checkpoints.wait()
            assert training.there == ["ckpt-3"]
            raise KilledError

    with pytest.raises(KilledError):
        training(at=look)
    np.testing.assert_array_equal(training(), whole.weights)


def test_a_kill_meanwhile_leaves_the_checkpoint_before(training, whole, disk, tmp_path):
    killed = Training(tmp_path / "killed")

    def look(step: int) -> None:
        if step == 5:
            disk.takes.set()
            training.checkpoints.wait()
            disk.takes.clear()
            disk.asked.clear()
        if step == 8:
            assert disk.asked.wait(SECONDS)
            shutil.copytree(training.directory, killed.directory)
            disk.takes.set()

    training(at=look)
    assert [name[:10] for name in killed.there] == [".tmp-ckpt-", "ckpt-3"]
    np.testing.assert_array_equal(killed(), whole.weights)
    assert killed.there == ["ckpt-6", "ckpt-9"]
    assert killed.curve == whole.curve


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(directory: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_LAST, refuse)


def test_a_full_disk_ends_training_at_the_next_step(training, whole, monkeypatch):
    full(monkeypatch)
    made: list[int] = []

    def wait(step: int) -> None:
        made.append(step)
        training.checkpoints.close()

    with pytest.raises(OSError, match=r"free some space.*slow/ckpt-3"):
        training(at=wait)
    assert made[-1] == 3
    assert training.there == []
    monkeypatch.undo()
    np.testing.assert_array_equal(training(), whole.weights)


def test_a_full_disk_at_the_last_step_is_told_too(training, monkeypatch):
    def fill(step: int) -> None:
        if step == STEPS - 1:
            training.checkpoints.wait()
            full(monkeypatch)

    with pytest.raises(OSError, match="ckpt-9"):
        training(at=fill)
    assert training.there == ["ckpt-3", "ckpt-6"]


def test_weights_are_written_as_they_were_when_the_writer_got_them(training, disk, tmp_path):
    writer = BackgroundWriter()
    disk.takes.set()
    training()
    disk.takes.clear()
    models = training.state.models
    kept = models["encoder"].get_weights()[0]
    write_weights(tmp_path / "best", models, writer)
    models["encoder"].set_weights([kept + 1])
    disk.takes.set()
    writer.wait()
    read_weights(tmp_path / "best", models)
    np.testing.assert_array_equal(models["encoder"].get_weights()[0], kept)


def test_what_could_not_be_written_is_raised_once_and_in_order():
    written: list[str] = []

    def write(name: str) -> Callable[[], None]:
        def act() -> None:
            if name == "bad":
                raise OSError(name)
            written.append(name)

        return act

    writer = BackgroundWriter()
    writer.start(write("first"))
    writer.start(write("bad"))
    with pytest.raises(OSError, match="bad"):
        writer.start(write("never"))
    assert not writer.failed
    writer.start(write("last"))
    writer.wait()
    assert written == ["first", "last"]


def test_workers_are_told_at_the_next_save_of_one_that_failed(tmp_path, monkeypatch):
    workers = [Training(tmp_path / name) for name in ("chief", "other")]
    for one in workers:
        one()
    monkeypatch.setattr(
        workers[0].checkpoints, "_write", lambda *arguments: (_ for _ in ()).throw(OSError("full"))
    )

    def save(group, one):
        shared = SharedCheckpoints(one.checkpoints, one.directory, group)
        shared.save()
        one.checkpoints.close()
        assert shared.failed == (one is workers[0])
        shared.save()

    errors = work(*[lambda group, one=one: save(group, one) for one in workers])
    assert [type(error) for error in errors] == [OSError, CheckpointError]
    assert "the chief could not write a checkpoint: full" in str(errors[1])
    assert [found.step for found in list_checkpoints(workers[1].directory)] == [9, 6]
