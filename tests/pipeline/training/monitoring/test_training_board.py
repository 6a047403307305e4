"""What TensorBoard shows of a training besides its curves."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.training.tensorboard.event_files import read, steps
from twofold.components.data.reading.split import Split
from twofold.components.encoders.build import build_encoder
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import Picture
from twofold.components.training.settings import TrainingSettings
from twofold.components.training.tensorboard.event_writer import TensorBoardWriter
from twofold.components.training.tensorboard.tensorboard_settings import TensorBoardSettings
from twofold.pipeline.training.monitoring.training_board import (
    TrainingBoard,
    WatchedImages,
    show_networks,
)

STEPS = 12


def split(name: str, count: int, *, labelled: bool = True) -> Split:
    rng = np.random.default_rng(count)
    labels = rng.integers(0, 2, count) if labelled else np.full(count, -1)
    images = rng.integers(0, 20, (count, 16))
    # Each class has a bright pixel of its own.
    images[np.arange(count), np.maximum(labels, 0)] = 255
    return Split(
        images=images.reshape(count, 4, 4, 1).astype(np.uint8),
        labels=labels.astype(np.int32),
        keys=np.array([f"{name}/{index}" for index in range(count)]),
        latents=np.zeros((count, 0), np.float32),
        class_names=("left", "right") if labelled else (),
        latent_names=(),
        name=name,
    )


def method_of(models: dict[str, keras.Model]) -> Any:
    picture = Picture(np.ones((2, 4, 4, 1)))
    return SimpleNamespace(models=models, pictures=lambda images: {"dictionary": picture})


class Training:
    """A training whose steps add one to each weight."""

    def __init__(self, directory: Path, images: WatchedImages | None, **settings: Any) -> None:
        flat = [keras.Input((4, 4, 1)), keras.layers.Flatten()]
        encoder = keras.Sequential([*flat, keras.layers.Dense(3, use_bias=False, name="last")])
        encoder.set_weights([np.eye(16, 3, dtype=np.float32)])
        head = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, use_bias=False, name="out")]
        )
        self.method = method_of({"encoder": encoder, "head": head})
        self.writer = TensorBoardWriter(directory)
        self.board = TrainingBoard(
            self.writer,
            directory,
            self.method,
            TrainingSettings(batch_size=2, tensorboard=TensorBoardSettings(**settings)),
            LoopSettings(STEPS, steps_per_epoch=6, log_every=4, checkpoint_every=6),
            images,
        )

    def run(self, first: int = 0, last: int = STEPS) -> None:
        self.board.begin(first)
        step = self.board.watch(self._step)
        for number in range(first + 1, last + 1):
            step({})
            if number in (4, 6, 8, 12):
                self.board.show(number)
        self.board.close()
        self.writer.close()

    def _step(self, batch: Any) -> dict[str, tf.Tensor]:
        for model in self.method.models.values():
            model.set_weights([weights + 1 for weights in model.get_weights()])
        return {}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("shown")
    images = WatchedImages(split("train", 40), split("test", 20), seed=0)
    Training(directory, images, snapshots=3).run()
    return directory


def test_norms_are_shown_at_each_interval_and_measures_at_each_snapshot(shown: Path) -> None:
    found = steps(shown)
    norms = {"rate/weight_norm/encoder", "rate/update_to_weight/head"}
    measures = {"probe/test/knn_accuracy", "geometry/test/effective_rank"}
    pictures = {"geometry/similarity", "probe/test/knn_confusion", "pictures/dictionary"}
    histograms = {"weights/encoder/last/kernel", "features"}

    assert {name: found[name] for name in norms} == {tag: [4, 6, 8, 12] for tag in norms}
    snapshots = measures | pictures | histograms
    # A third of the training each, shown at the end of an interval.
    assert {name: found[name] for name in snapshots} == {tag: [4, 8, 12] for tag in snapshots}
    accumulator = read(shown)
    for tag in norms | measures | pictures:
        assert accumulator.SummaryMetadata(tag).summary_description, tag


def test_neighbours_tell_apart_what_is_easily_told_apart(shown: Path) -> None:
    (_, _, last) = read(shown).Tensors("probe/test/knn_accuracy")
    assert float(tf.make_ndarray(last.tensor_proto)) == 1.0


@pytest.mark.parametrize("interrupted_at", [3, 5, 7])
def test_a_resumed_training_shows_what_one_without_interruption_does(
    shown: Path, tmp_path: Path, interrupted_at: int
) -> None:
    images = WatchedImages(split("train", 40), split("test", 20), seed=0)
    Training(tmp_path, images, snapshots=3).run(last=interrupted_at)
    Training(tmp_path, images, snapshots=3).run(first=interrupted_at)

    assert steps(tmp_path) == steps(shown)


def test_watching_changes_no_weight(tmp_path: Path) -> None:
    images = WatchedImages(split("train", 40), split("test", 20), seed=0)
    training = Training(tmp_path, images)
    training.run()
    for model in training.method.models.values():
        (weights,) = model.get_weights()
        assert weights.max() == pytest.approx(STEPS + 1, abs=1)
    np.testing.assert_array_equal(
        training.method.models["encoder"].get_weights()[0], np.eye(16, 3) + STEPS
    )


@pytest.mark.parametrize(
    ("train", "held_out"),
    [
        (split("train", 40, labelled=False), split("test", 20, labelled=False)),
        (split("train", 40, labelled=False), None),
        (split("train", 2), split("test", 1)),
    ],
)
def test_without_labels_or_other_images_there_is_less_to_show(
    tmp_path: Path, train: Split, held_out: Split | None
) -> None:
    Training(tmp_path, WatchedImages(train, held_out, seed=0), snapshots=1).run()
    found = steps(tmp_path)

    name = "train" if held_out is None else "test"
    assert found[f"geometry/{name}/effective_rank"] == [12]
    assert ("probe/test/knn_accuracy" in found) == bool(train.class_names)


def test_snapshots_can_be_turned_off_or_be_of_the_weights_alone(tmp_path: Path) -> None:
    images = WatchedImages(split("train", 40), split("test", 20), seed=0)
    Training(tmp_path / "off", images, snapshots=0).run()
    Training(tmp_path / "weights", None).run()

    groups = {tag.partition("/")[0] for tag in steps(tmp_path / "off")}
    assert groups == {"rate"}
    assert {tag.partition("/")[0] for tag in steps(tmp_path / "weights")} == {"rate", "weights"}


def test_each_network_is_a_box_of_the_graph(tmp_path: Path) -> None:
    training = Training(tmp_path / "curves", None)
    show_networks(tmp_path, training.method, (4, 4, 1))

    graph = tf.compat.v1.GraphDef.FromString(read(tmp_path)._graph)
    assert {"encoder", "head"} <= {node.name.partition("/")[0] for node in graph.node}
    # The head takes what the encoder gives.
    assert not [node.name for node in graph.node if node.name.startswith("head_input")]


def test_an_encoder_that_takes_images_of_any_size_is_drawn_with_those_of_the_run(
    tmp_path: Path,
) -> None:
    settings = {"patch": 4, "stride": 4, "filters": (2,), "features": 3}
    encoder = build_encoder("bag_of_patches", (8, 8, 1), seed=0, **settings)
    show_networks(tmp_path, method_of({"encoder": encoder}), (8, 8, 1))

    graph = tf.compat.v1.GraphDef.FromString(read(tmp_path)._graph)
    assert "encoder" in {node.name.partition("/")[0] for node in graph.node}


def test_a_snapshot_of_weights_that_are_no_numbers_leaves_training_to_the_alarms(
    tmp_path: Path,
) -> None:
    training = Training(tmp_path, WatchedImages(split("train", 40), None, seed=0), snapshots=3)
    training.method.models["encoder"].set_weights([np.full((16, 3), np.nan, np.float32)])
    training.run()
    assert "snapshots/left_out" in {
        tag for tags in read(tmp_path).Tags().values() if isinstance(tags, list) for tag in tags
    }
