"""A training whose settings change midway goes on from its last checkpoint as they say."""

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.data.splits import rows
from tests.components.training.tensorboard.event_files import steps
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.continuing.influence import Influence, select
from twofold.components.training.continuing.phases import Phase
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.resuming.checkpoint_files import list_checkpoints
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import build_state
from twofold.pipeline.models.method_builder import choose_and_build_method
from twofold.pipeline.runs.run_record import flat
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.pretraining import Data, pretrain
from twofold.pipeline.training.stage import Stage

SMALL = (
    "data.image_size=8",
    "encoder.name=core",
    "encoder.filters=[2]",
    "encoder.units=[3]",
    "encoder.pooling=average",
    "views.policy=none",
    "method.name=supervised",
    "training.batch_size=8",
    "training.compile=none",
    "training.epochs=2",
    "training.averaging={kind: ema}",
)
# Another value of each setting that is declared to change nothing.
OTHERWISE = {
    "log_every": 3,
    "checkpoint_every_epochs": 1,
    "checkpoint_minutes": 1e-9,
    "keep_checkpoints": 1,
    "validation_images": 3,
    "tensorboard.snapshots": 2,
    "tensorboard.images": 12,
    "profile_steps": [4, 5],
    "steps_per_call": 2,
    "worker_timeout_seconds": 5,
    # Which a run's steps hand to the stage.
    "callbacks": ["mine:Mine"],
}
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 1), dtype=np.uint8)


def train(
    directory: Path, *settings: str, tensorboard: Path | None = None
) -> Mapping[str, np.ndarray]:
    """Trains on 24 images, 3 steps an epoch, and gives the last weights."""
    split = dataclasses.replace(
        rows(24),
        images=PIXELS,
        labels=np.arange(24, dtype=np.int32) % 2,
        class_names=("a", "b"),
    )
    stage = Stage(
        name="pretrain",
        config=override(RunConfig(), [*SMALL, *settings]),
        fingerprint="f1",
        checkpoints=directory,
        tensorboard=tensorboard,
    )
    method = pretrain(
        stage,
        Data(TrainingImages(split, split), dataclasses.replace(split, name="validation")),
        tf.distribute.get_strategy(),
        lambda *_: contextlib.nullcontext(lambda done: None),
    )
    return {
        f"{name}/{variable.path}": np.asarray(variable)
        for name, model in method.models.items()
        for variable in model.variables
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mapping[str, np.ndarray]]:
    """A training of two epochs, and its weights; a checkpoint after each is there."""
    directory = tmp_path_factory.mktemp("trained")
    weights = train(directory, "training.checkpoint_every_epochs=1")
    assert [found.step for found in list_checkpoints(directory)] == [6, 3]
    return directory, weights


def test_settings_that_change_nothing_leave_every_weight_as_it_was(
    trained: tuple[Path, Mapping[str, np.ndarray]], tmp_path: Path
) -> None:
    nothing = dict(flat(select(RunConfig().training, {Influence.NOTHING})))
    assert nothing.keys() == OTHERWISE.keys(), "give each of them another value here"
    assert not [name for name, value in OTHERWISE.items() if nothing[name] == value]
    before, weights = trained
    again = Path(shutil.copytree(before, tmp_path / "again"))
    shutil.rmtree(again / "final")
    shutil.rmtree(again / "ckpt-6")
    settings = [f"training.{name}={value}" for name, value in OTHERWISE.items()]
    changed = train(again, *settings, tensorboard=tmp_path / "tensorboard")
    assert steps(tmp_path / "tensorboard")["probe/validation/knn_accuracy"] == [6]
    assert [*tmp_path.glob("tensorboard/plugins/profile/*/*.xplane.pb")]
    assert changed.keys() == weights.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(changed[name], values, err_msg=name)


PER_EPOCH = 4


class Trainings:
    """Trainings of one weight by the product's schedule, rules and loop, without images."""

    def __init__(self, directory: Path, *settings: str) -> None:
        self.directory, self.settings = directory, settings
        self.rates: dict[int, float] = {}

    def __call__(
        self, epochs: int, phases: Sequence[Phase] = (), killed_after: int | None = None
    ) -> np.ndarray:
        """Trains to a number of epochs, as a process of its own would, and gives the weights."""
        keras.utils.clear_session()
        config = override(RunConfig(), [f"training.epochs={epochs}", *self.settings])
        settings = LoopSettings(
            epochs * PER_EPOCH, PER_EPOCH, log_every=3, checkpoint_every=PER_EPOCH
        )
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
        network.set_weights([np.ones((2, 2))])
        method: Any = SimpleNamespace(models={"encoder": network}, memory={})
        state = build_state(config, method, settings, classes=1, replicas=1, phases=phases)

        def step(batch: Any) -> dict[str, tf.Tensor]:
            self.rates[batch] = float(np.asarray(state.optimizer.learning_rate))
            gradient = state.variables[0] * 0.3 - float(np.sin(batch))
            state.optimizer.apply([gradient], state.variables)
            if state.average is not None:
                state.average.update(state.steps + 1)
            state.steps.assign_add(1)
            if batch == killed_after:
                raise KeyboardInterrupt
            return {"loss": tf.constant(1.0)}

        checkpoints = Checkpoints(self.directory, state)
        callbacks = Callbacks(metrics=lambda *_: None, progress=lambda _: None)

        def batches(first: int) -> Any:
            return range(first, settings.steps)

        with contextlib.suppress(KeyboardInterrupt):
            run_loop(state, step, batches, checkpoints, settings, callbacks)
        weights: np.ndarray = network.get_weights()[0]
        return weights


@pytest.mark.parametrize(
    "settings",
    [
        ("training.schedule=constant", "training.averaging={kind: ema}"),
        # A cosine whose end does not depend on the epochs.
        ("training.schedule_epochs=3", "training.warmup_epochs=1"),
        ("training.schedule=cosine_wave", "training.schedule_epochs=2"),
    ],
)
def test_a_finished_training_that_goes_on_equals_one_that_was_as_long_from_the_start(
    settings: tuple[str, ...], tmp_path: Path
) -> None:
    whole = Trainings(tmp_path / "whole", *settings)(3)
    parts = Trainings(tmp_path / "parts", *settings)
    parts(2)
    np.testing.assert_array_equal(parts(3, [Phase(0, 2), Phase(8, 3)]), whole)
    assert list(parts.rates) == list(range(12))


def test_a_continued_training_that_is_killed_equals_one_that_was_not(tmp_path: Path) -> None:
    phases = [Phase(0, 2), Phase(8, 4, "restarted", 2e-3)]
    whole = Trainings(tmp_path / "whole")
    whole(2)
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    expected = whole(4, phases)
    killed = Trainings(tmp_path / "killed")
    # Before its first checkpoint of its own, and after it.
    for step in (9, 13):
        killed(4, phases, killed_after=step)
    np.testing.assert_array_equal(killed(4, phases), expected)
    assert {step: whole.rates[step] for step in killed.rates} == killed.rates


def test_what_a_method_has_chosen_by_its_length_stays_when_it_is_continued() -> None:
    settings = ("method={name: byol}", "views.policy=byol_a", "second_views.policy=byol_b")
    config = override(RunConfig(), [*SMALL[:5], *settings])
    chosen = choose_and_build_method(config, (8, 8, 1), 2, 400_000, begun_steps=100)
    # By steps: 0.996 from 300,000, else less.
    momentum: Any = chosen.settings
    assert momentum.momentum == 0.97
    method: Any = chosen.method
    assert method.steps == 400_000
