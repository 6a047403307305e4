"""A training whose settings change midway goes on from its last checkpoint as they say."""

import contextlib
import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.components.data.splits import rows
from tests.components.training.tensorboard.event_files import steps
from twofold.components.training.continuing.influence import Influence, select
from twofold.components.training.resuming.checkpoint_files import list_checkpoints
from twofold.pipeline.config import RunConfig, override
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
    "log_every": 2,
    "checkpoint_every_epochs": 1,
    "checkpoint_minutes": 1e-9,
    "validation_images": 3,
    "tensorboard.snapshots": 2,
    "tensorboard.images": 12,
    "profile_steps": [4, 5],
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
