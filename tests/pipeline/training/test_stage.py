"""What a training stage finds in its directory, and goes on from."""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.training.loop import LoopSettings
from twofold.components.training.reporting.intervals import Interval
from twofold.components.training.reporting.training_callbacks import CallbackFailure
from twofold.components.training.resuming.interruption import Interruption
from twofold.components.training.step import TrainState
from twofold.pipeline.config import RunConfig
from twofold.pipeline.training import expected_time
from twofold.pipeline.training import stage as stage_module
from twofold.pipeline.training.course_reports import Attendance
from twofold.pipeline.training.stage import (
    Stage,
    StagePlan,
    set_aside_other_inputs,
    train_stage,
)

STEPS = 4
LENGTHS = LoopSettings(STEPS, STEPS, log_every=4, checkpoint_every=2)


class KilledError(BaseException):
    """Stands for SIGKILL."""


class Training:
    """A stage whose steps cost nothing."""

    def __init__(
        self, directory: Path, metrics: Path | None = None, lengths: LoopSettings = LENGTHS
    ) -> None:
        self.directory, self.metrics, self.lengths = directory, metrics, lengths
        self.steps: list[int] = []
        self.said: list[str] = []
        self.logged: list[str] = []
        self.set_aside: list[Path] = []
        self.long: Callable[[float], None] = lambda seconds: None
        self.callbacks: list[Any] = []
        self.failures: list[CallbackFailure] = []
        # Called with each interval, after it was written.
        self.show: Callable[[Interval], None] = lambda interval: None

    def __call__(self) -> np.ndarray:
        stage = Stage(
            "pretrain",
            RunConfig(),
            "f1",
            self.directory,
            tensorboard=None,
            metrics=self.metrics,
            attendance=Attendance(
                self.said.append,
                log=self.logged.append,
                long=lambda seconds: self.long(seconds),
                show=self.show,
                callback_failed=lambda stage, failure: self.failures.append(failure),
            ),
            callbacks=[(type(one).__name__, one) for one in self.callbacks],
        )
        batches: Any = SimpleNamespace(
            loop_settings=lambda: self.lengths,
            images=SimpleNamespace(
                labelled=SimpleNamespace(class_names=("a",)), image_shape=(2, 2, 1)
            ),
            images_after=lambda steps: 8 * steps,
            trained_images=8,
            part_sizes=(4,),
            distribute=lambda strategy, first, steps: range(first + 1, steps + 1),
        )
        plan = StagePlan(
            batches,
            build_state=lambda method, settings: build_state(method),
            epoch_rules=lambda state: None,
            final_weights=lambda state: None,
            learning_rate_curve=False,
        )
        set_aside_other_inputs(stage, lambda *paths: self.set_aside.extend(paths))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                stage_module, "choose_and_build_method", lambda *_, **sizes: build_method()
            )
            patch.setattr(stage_module, "build_train_step", lambda *given: self._step(given[2]))
            method = train_stage(
                stage,
                plan,
                tf.distribute.get_strategy(),
                lambda *_: contextlib.nullcontext(lambda done: None),
            )
        weights: np.ndarray = method.models["encoder"].get_weights()[0]
        return weights

    def _step(self, state: TrainState) -> Callable[[int], dict[str, tf.Tensor]]:
        def step(batch: int) -> dict[str, tf.Tensor]:
            self.steps.append(batch)
            state.variables[0].assign(state.variables[0] * 1.1 + float(batch))
            state.steps.assign_add(1)
            return {"loss": tf.constant(float(batch))}

        return step


def build_method() -> Any:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    network.set_weights([np.ones((2, 2))])
    return SimpleNamespace(method=SimpleNamespace(models={"encoder": network}), choices=())


def build_state(method: Any) -> TrainState:
    state = TrainState(method.models, keras.optimizers.SGD())
    state.build()
    return state


@pytest.mark.parametrize("damage", [lambda path: os.truncate(path, 3), Path.unlink])
@pytest.mark.parametrize(
    "name",
    [
        "final/weights.index",
        "final/weights.data-00000-of-00001",
        "ckpt-4/state.index",
        "model.json",
    ],
)
def test_damage_after_the_last_step_costs_no_training(
    tmp_path: Path,
    name: str,
    damage: Callable[[Path], None],
) -> None:
    training = Training(tmp_path)
    whole = training()
    assert training.steps == [1, 2, 3, 4]
    training.steps.clear()
    training.set_aside.clear()
    description = (tmp_path / "model.json").read_bytes()
    damage(tmp_path / name)
    for _ in range(2):
        np.testing.assert_array_equal(training(), whole)
        assert training.steps == []
        assert training.set_aside == []
    assert (tmp_path / "model.json").read_bytes() == description
    assert [line.partition(":")[0] for line in training.said] == [
        *["the finished weights are damaged and made again"] * name.startswith("final/")
    ]


def test_where_both_are_damaged_training_goes_on_from_the_checkpoint_before(
    tmp_path: Path,
) -> None:
    training = Training(tmp_path)
    whole = training()
    for name in ("final/weights.index", "ckpt-4/state.index"):
        os.truncate(tmp_path / name, 3)
    training.steps.clear()
    np.testing.assert_array_equal(training(), whole)
    assert training.steps == [3, 4]
    assert [line.partition(":")[0] for line in training.said] == [
        "the finished weights are damaged and made again",
        "ckpt-4 is damaged and passed over",
        "training goes on from ckpt-2",
    ]


def _intervals(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, without what depends on the time."""
    read = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(line.pop("images_per_second") > 0 and line.pop("wall_time") > 0 for line in read)
    return read


def test_a_metrics_file_has_an_interval_a_line(tmp_path: Path) -> None:
    lengths = LoopSettings(steps=6, steps_per_epoch=3, log_every=2, checkpoint_every=6)
    Training(tmp_path / "checkpoints", tmp_path / "metrics.jsonl", lengths)()
    common = {"learning_rate": pytest.approx(0.01)}
    assert _intervals(tmp_path / "metrics.jsonl") == [
        {"step": 2, "epoch": 1, "images": 16, "loss": 1.5, **common},
        {"step": 3, "epoch": 1, "images": 24, "loss": 3.0, **common},
        {"step": 4, "epoch": 2, "images": 32, "loss": 4.0, **common},
        {"step": 6, "epoch": 2, "images": 48, "loss": 5.5, **common},
    ]


def test_after_a_kill_between_line_and_checkpoint_each_interval_is_there_once(
    tmp_path: Path,
) -> None:
    lengths = LoopSettings(STEPS, STEPS, log_every=1, checkpoint_every=2)
    whole = Training(tmp_path / "whole", tmp_path / "whole.jsonl", lengths)
    weights = whole()
    assert whole.logged[0] == "pretrain: begins: 4 steps, 1 epoch, 1 replica"
    assert [line.partition(", epoch")[0] for line in whole.logged[1:]] == [
        f"pretrain: step {step} of 4" for step in range(1, 5)
    ]
    assert whole.said == []

    killed = Training(tmp_path / "killed", tmp_path / "killed.jsonl", lengths)

    def die(interval: Interval) -> None:
        if interval.step == 4:
            raise KilledError

    killed.show = die
    with pytest.raises(KilledError):
        killed()
    assert [line["step"] for line in _intervals(tmp_path / "killed.jsonl")] == [1, 2, 3, 4]
    assert killed.logged[-1].startswith("pretrain: KilledError")
    killed.show = lambda interval: None
    np.testing.assert_array_equal(killed(), weights)
    assert killed.said == [
        "killed.jsonl: 2 lines after step 2 cut, which training writes again",
        "pretrain: goes on from step 2 of 4",
    ]
    assert _intervals(tmp_path / "killed.jsonl") == _intervals(tmp_path / "whole.jsonl")


def test_the_intervals_of_other_inputs_are_set_aside(tmp_path: Path) -> None:
    training = Training(tmp_path / "checkpoints", tmp_path / "metrics.jsonl")
    training()
    (tmp_path / "checkpoints" / "model.json").write_text('{"fingerprint": "f2"}')
    shutil.rmtree(tmp_path / "checkpoints" / "final")
    training.set_aside.clear()
    training()
    assert training.set_aside == [tmp_path / "checkpoints", tmp_path / "metrics.jsonl"]


class Recorder:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, event: str) -> Callable[[dict[str, Any]], None]:
        return lambda data: self.told.append((event, data))


class FailingCallback:
    def on_begin(self, training: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")


def test_callbacks_are_told_of_the_course_in_plain_data(tmp_path: Path) -> None:
    lengths = LoopSettings(steps=4, steps_per_epoch=2, log_every=1, checkpoint_every=2)
    training = Training(tmp_path / "checkpoints", lengths=lengths)
    recorder = Recorder()
    training.callbacks = [FailingCallback(), recorder]
    weights = training()
    assert [event for event, _ in recorder.told] == [
        "on_begin",
        *["on_interval", "on_interval", "on_epoch"] * 2,
        "on_end",
    ]
    begin, first, *_, end = (data for _, data in recorder.told)
    assert begin["id"] == "run-pretrain-f1"
    assert begin["configuration"] == RunConfig().model_dump(mode="json")
    assert (begin["run"], begin["stage"]) == ("run", "pretrain")
    assert begin["directory"] == str(tmp_path)
    assert [begin[name] for name in ("step", "steps", "epochs", "replicas")] == [0, 4, 2, 1]
    assert first["metrics"] == {"loss": 1.0}
    assert first.keys() == {field.name for field in dataclasses.fields(Interval)}
    assert end == {"stage": "pretrain", "status": "done", "step": 4, "steps": 4, "error": None}
    json.dumps(recorder.told)
    (failure,) = training.failures
    assert (failure.callback, failure.event) == ("FailingCallback", "on_begin")
    np.testing.assert_array_equal(weights, Training(tmp_path / "alone", lengths=lengths)())


def test_callbacks_are_told_where_training_goes_on_and_how_it_ended(tmp_path: Path) -> None:
    lengths = LoopSettings(STEPS, STEPS, log_every=1, checkpoint_every=2)
    training = Training(tmp_path / "checkpoints", tmp_path / "metrics.jsonl", lengths)

    def fail(interval: Interval) -> None:
        if interval.step == 3:
            raise ValueError("two\nlines")

    training.show, first = fail, Recorder()
    training.callbacks = [first]
    with pytest.raises(ValueError, match="two"):
        training()
    event, end = first.told[-1]
    assert event == "on_end"
    assert (end["status"], end["error"]) == ("failed", "ValueError: two lines")
    training.show, again = lambda interval: None, Recorder()
    training.callbacks = [again]
    training()
    assert again.told[0][1]["step"] == 2
    assert again.told[0][1]["id"] == first.told[0][1]["id"]
    assert [data["step"] for event, data in again.told if event == "on_interval"] == [3, 4]


def test_a_long_training_tells_of_it_once_and_ends_as_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected_time, "LONG", 0.0)
    monkeypatch.setattr(expected_time, "_MEASURED", 0.0)
    told: list[float] = []

    def long(seconds: float) -> None:
        told.append(seconds)
        # What is tried then is ended by a signal, which the training goes by itself.
        raise Interruption("SIGTERM", 143)

    training = Training(tmp_path)
    training.long = long
    training()
    assert len(told) == 1
    assert training.steps == [1, 2, 3, 4]
