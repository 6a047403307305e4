"""What a training stage finds in its directory, and goes on from."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.training.loop import LoopSettings
from twofold.components.training.step import TrainState
from twofold.pipeline.config import RunConfig
from twofold.pipeline.training import stage as stage_module
from twofold.pipeline.training.stage import (
    Attendance,
    Stage,
    StagePlan,
    set_aside_other_inputs,
    train_stage,
)

STEPS = 4


class Training:
    """A stage whose steps cost nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.steps: list[int] = []
        self.said: list[str] = []
        self.set_aside: list[Path] = []

    def __call__(self) -> np.ndarray:
        stage = Stage(
            "pretrain",
            RunConfig(),
            "f1",
            self.directory,
            tensorboard=None,
            attendance=Attendance(say=self.said.append),
        )
        batches: Any = SimpleNamespace(
            loop_settings=lambda: LoopSettings(STEPS, STEPS, log_every=4, checkpoint_every=2),
            images=SimpleNamespace(
                labelled=SimpleNamespace(class_names=("a",)), image_shape=(2, 2, 1)
            ),
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
            return {"loss": tf.constant(1.0)}

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
