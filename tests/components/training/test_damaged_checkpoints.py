"""Training meets every damage of its checkpoints, and ends with the weights of a whole run."""

import dataclasses
import errno
import json
import math
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.components.training.small_training import SETTINGS, STEPS, KilledError, Training
from twofold.components.errors import TrainingDivergedError
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.loop import LoopSettings
from twofold.components.training.resuming.checkpoint_files import recorded_fingerprint
from twofold.components.training.resuming.interruption import Interruption, StopRequest
from twofold.components.training.resuming.weights_files import (
    is_final,
    read_final,
    read_weights,
    write_final,
    write_weights,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Training:
    training = Training(tmp_path_factory.mktemp("whole"))
    training.weights = training()
    return training


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = [truncate, empty, flip, Path.unlink]
FILES = ("state.index", "state.data-00000-of-00001", "course.json", "checksums.json")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_newest_checkpoint_is_passed_over_by_name(training, whole, name, damage):
    training.killed(after=7)
    assert training.there == ["ckpt-3", "ckpt-6"]
    damage(training.directory / "ckpt-6" / name)

    np.testing.assert_array_equal(training(), whole.weights)
    assert training.curve == whole.curve
    first, second = training.said
    assert first.startswith("ckpt-6 is damaged and passed over: ")
    # A flipped checksum is no longer that of its file.
    assert ("ckpt-6/" if name == "checksums.json" else f"ckpt-6/{name}") in first
    assert second == "training goes on from ckpt-3"
    assert training.there == ["ckpt-6", "ckpt-9"], "the one at step 6 was written again"
    training.said.clear()
    np.testing.assert_array_equal(training(), whole.weights)
    assert training.said == []


def test_an_intact_older_checkpoint_outlives_a_damaged_newer_one(training, whole):
    training.killed(after=7)
    flip(training.directory / "ckpt-6" / FILES[0])
    training.killed(after=4)
    assert training.there == ["ckpt-3", "ckpt-6"], "nothing was written since"
    np.testing.assert_array_equal(training(), whole.weights)


def test_without_any_intact_checkpoint_training_begins_anew_and_says_so(training, whole):
    training.killed(after=7)
    for step in (3, 6):
        flip(training.directory / f"ckpt-{step}" / FILES[1])
    np.testing.assert_array_equal(training(), whole.weights)
    assert training.said[-1].endswith("is intact: training begins anew")
    assert training.there == ["ckpt-6", "ckpt-9"]


def test_a_file_that_cannot_be_read_is_no_damage(training, monkeypatch):
    training.killed(after=7)

    def unreadable(path: Path) -> int:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("twofold.components.files.crc32c", unreadable)
    with pytest.raises(OSError, match="Input/output error"):
        training()
    assert training.there == ["ckpt-3", "ckpt-6"]


def as_before(training: Training) -> None:
    """Leaves what earlier versions left of a training that was killed after step 7."""
    training.killed(after=7)
    manager = None
    for step in (3, 6):
        state = training.state
        Checkpoints(training.directory, state).restore()
        checkpoint = tf.train.Checkpoint(
            encoder=state.models["encoder"], optimizer=state.optimizer, steps=state.steps
        )
        checkpoint.read(str(training.directory / f"ckpt-{step}" / "state"))
        manager = manager or tf.train.CheckpointManager(checkpoint, str(training.directory), 2)
        manager._checkpoint = checkpoint
        manager.save(checkpoint_number=step)
    for step in (3, 6):
        for path in (training.directory / f"ckpt-{step}").iterdir():
            path.unlink()
        (training.directory / f"ckpt-{step}").rmdir()
    training.curve.clear()
    assert training.there == [
        "checkpoint",
        *(f"ckpt-{step}.{end}" for step in (3, 6) for end in ("data-00000-of-00001", "index")),
    ]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["checkpoint", "ckpt-6.index", "ckpt-6.data-00000-of-00001", None])
def test_checkpoints_of_earlier_versions_are_gone_on_from(training, whole, name, damage):
    as_before(training)
    if name is not None:
        damage(training.directory / name)
    np.testing.assert_array_equal(training(), whole.weights)
    passed_over = [line for line in training.said if "ckpt-6 is damaged and passed over" in line]
    assert len(passed_over) == (name not in ("checkpoint", None))
    assert {"ckpt-6", "ckpt-9"} >= {one for one in training.there if one.startswith("ckpt-")} or (
        "ckpt-6.index" in training.there
    )


def test_remains_of_failed_saves_are_removed(training):
    (training.directory / "ckpt-21_temp").mkdir()
    (training.directory / "ckpt-21_temp" / "part-00000-of-00001.data").touch()
    (training.directory / ".tmp-ckpt-21-5e0c").mkdir()
    training()
    assert training.there == ["ckpt-6", "ckpt-9"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["weights.index", "weights.data-00000-of-00001", "checksums.json"])
def test_damaged_finished_weights_are_known_and_made_again(training, whole, name, damage):
    weights = training()
    models = training.state.models
    write_final(training.directory, models)
    assert is_final(training.directory)
    damage(training.directory / "final" / name)

    said: list[str] = []
    still_whole = name == "checksums.json" and damage is Path.unlink
    assert is_final(training.directory, said.append) == still_whole, "as of earlier versions"
    # A flipped checksum is no longer that of its file.
    named = "final" if name == "checksums.json" else f"final/{name}"
    assert any(named in line for line in said) != still_whole
    np.testing.assert_array_equal(training(), weights)
    write_final(training.directory, training.state.models)
    read_final(training.directory, models)
    np.testing.assert_array_equal(models["encoder"].get_weights()[0], whole.weights)


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_best_weights_are_put_back_with_the_checkpoint(training, damage):
    def keep(step: int) -> None:
        if step == 2:
            write_weights(training.directory / "best", training.state.models)
            training.best = training.state.models["encoder"].get_weights()[0]
        if step == 7:
            raise KilledError

    with pytest.raises(KilledError):
        training(at=keep)
    damage(training.directory / "best" / "weights.data-00000-of-00001")
    training()
    read_weights(training.directory / "best", training.state.models)
    np.testing.assert_array_equal(training.state.models["encoder"].get_weights()[0], training.best)


def test_a_checkpoint_says_what_it_comes_from(training):
    assert recorded_fingerprint(training.directory) is None
    training.killed(after=7)
    flip(training.directory / "ckpt-6" / "course.json")
    assert recorded_fingerprint(training.directory) == "f1"


def test_weights_that_are_not_finite_are_not_kept(training, whole):
    training.killed(after=5)
    seldom = dataclasses.replace(SETTINGS, log_every=STEPS)
    for settings, found in ((seldom, "weights of step 6 "), (SETTINGS, "finite at step 4 ")):
        with pytest.raises(TrainingDivergedError, match=f"{found}.*learning_rate"):
            training(factor=math.inf, settings=settings)
        assert training.there == ["ckpt-3"]
    np.testing.assert_array_equal(training(), whole.weights)


def test_the_last_step_of_a_short_run_is_held_to_it_too(training):
    once = LoopSettings(steps=1, steps_per_epoch=1, log_every=1, checkpoint_every=5)
    with pytest.raises(TrainingDivergedError, match="step 1"):
        training(factor=math.nan, settings=once)
    assert training.there == []
    with pytest.raises(TrainingDivergedError, match=r"weights of .*final"):
        write_final(training.directory, training.state.models)
    assert training.there == []


@pytest.mark.parametrize("bytes_left", [50, 500])
def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(training, whole, bytes_left):
    def fill(step: int) -> None:
        if step == 5:
            training.checkpoints.wait()
            # As a full disk, after so many bytes of a file.
            resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="free some space") as full:
            training(at=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert full.value.filename == str(training.directory / "ckpt-6")
    assert full.value.errno == errno.EFBIG
    assert training.there == ["ckpt-3"]
    np.testing.assert_array_equal(training(), whole.weights)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 143)]
)
def test_a_signal_ends_training_with_a_checkpoint(training, whole, number, status):
    stop = StopRequest()

    def receive(step: int) -> None:
        if step == 4:
            signal.raise_signal(number)

    with stop.listening(), pytest.raises(Interruption, match=r"interrupted at step 5") as end:
        training(at=receive, stop=stop)
    assert (end.value.status, end.value.step) == (status, 5)
    assert training.there == ["ckpt-3", "ckpt-5"]
    course = json.loads((training.directory / "ckpt-5" / "course.json").read_text())
    assert course["interval"] == [{"loss": float(np.float32(0.5))}], "in no mean yet"
    np.testing.assert_array_equal(training(), whole.weights)
    assert training.curve == whole.curve


def test_a_signal_before_the_first_step_has_no_checkpoint_to_wait_for(training):
    stop = StopRequest()

    def receive(step: int) -> None:
        assert step == 0
        signal.raise_signal(signal.SIGTERM)

    with stop.listening(), pytest.raises(Interruption, match=r"^interrupted \(SIGTERM\)$"):
        training(at=receive, stop=stop)
    assert training.there == []


def test_a_second_keyboard_interrupt_does_not_wait(training):
    stop = StopRequest()

    def receive(step: int) -> None:
        if step == 4:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with stop.listening(), pytest.raises(Interruption, match=r"^interrupted \(SIGINT\)$"):
        training(at=receive, stop=stop)
    assert training.there == ["ckpt-3"]


def test_signals_are_as_they_were_after_a_run():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest().listening():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_time_limit_ends_training_after_any_number_of_attempts(training, whole):
    for step in range(1, STEPS + 1):
        with pytest.raises(Interruption, match=f"at step {step} .--max-minutes 0.") as end:
            training(stop=StopRequest(max_minutes=0.0))
        assert end.value.status == 75
    np.testing.assert_array_equal(training(), whole.weights)
    assert training.curve == whole.curve


def test_checkpoints_by_the_clock_change_no_weight_and_no_curve(training, whole):
    often = LoopSettings(STEPS, 9, log_every=4, checkpoint_every=3, checkpoint_seconds=0.0)
    saved: list[int] = []

    def look(step: int) -> None:
        training.checkpoints.wait()
        saved.append(len(training.there))

    weights = training(settings=often, at=look)
    assert saved == [0, 1, *[2] * 8], "one after each step, of which two are kept"
    np.testing.assert_array_equal(weights, whole.weights)
    assert training.curve == whole.curve
