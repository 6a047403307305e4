"""Batch statistics of a finished encoder, and encoders whose weights come from a PyTorch file."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.components.data.splits import rows
from tests.components.encoders.published.test_torch_core import state_dict
from tests.components.encoders.published.test_torch_file import write_state_dict
from tests.pipeline.conftest import Outcome, short_run
from twofold.components.errors import ConfigError, UsageError
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.pretraining import pretrained_encoder, random_encoder

Twofold = Callable[..., Outcome]

SHAPE, COUNT = (16, 20, 1), 24
NETWORK = ("encoder.filters=[2,3]", "encoder.units=[5,4,4]")
PIXELS = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), dtype=np.uint8)


def _config(*settings: str) -> RunConfig:
    # One step an epoch sees all images.
    common = (*NETWORK, f"training.batch_size={COUNT}", "training.compile=none")
    return override(RunConfig(), [*common, *settings])


def _images() -> TrainingImages:
    split = dataclasses.replace(rows(COUNT), images=PIXELS)
    return TrainingImages(split, split)


def _normalises_by_the_images(encoder: keras.Model) -> bool:
    images = PIXELS.astype(np.float32) / 255
    return np.allclose(encoder(images, training=False), encoder(images, training=True), atol=1e-3)


def test_an_untrained_encoder_normalises_by_its_views_or_by_the_images() -> None:
    by_views = random_encoder(_config(), _images(), SHAPE)
    by_images = random_encoder(_config("training.batch_statistics=images"), _images(), SHAPE)
    assert not _normalises_by_the_images(by_views)
    assert _normalises_by_the_images(by_images)


def test_weights_of_a_file_come_with_their_statistics_or_those_of_the_images(
    tmp_path: Path,
) -> None:
    arrays = state_dict()
    file = str(write_state_dict(tmp_path / "net.pth", arrays))
    config = _config("method.name=pretrained", f"method.weights={file}")
    encoder = pretrained_encoder(config, _images(), SHAPE, file)
    norm = encoder.get_layer("dense2_norm")
    mean = arrays["linear_projections_output.2.running_mean"]
    np.testing.assert_array_equal(norm.moving_mean, mean)

    by_images = override(config, ["training.batch_statistics=images"])
    encoder = pretrained_encoder(by_images, _images(), SHAPE, file)
    assert _normalises_by_the_images(encoder)
    kernel = arrays["linear_projections.3.weight"].T
    np.testing.assert_array_equal(encoder.get_layer("dense1").kernel, kernel)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((), r"method\.weights=null: method\.name=pretrained needs weights: expected a PyTorch"),
        (("method.weights=a.pth", "encoder.name=conv4"), r"expected one of core"),
        (("method.weights=gs://bucket/a.pth",), r"method\.weights"),
    ],
)
def test_published_weights_need_a_local_file_and_an_encoder_of_known_layout(
    settings: tuple[str, ...], words: str
) -> None:
    with pytest.raises((ConfigError, UsageError), match=words):
        override(RunConfig(), ["method.name=pretrained", *settings])


def test_a_run_keeps_published_weights_by_their_content(
    twofold: Twofold, two_classes: Path, tmp_path: Path
) -> None:
    file, arrays = tmp_path / "net.pth", _three_channels()
    write_state_dict(file, arrays)
    settings = (
        *("method.name=pretrained", f"method.weights={file}", "encoder.pooling=flatten"),
        *("data.image_size=20", "encoder.filters=[2,3]", "encoder.units=[5,4,4]"),
        *("views.policy=none", "training.epochs=60"),
    )
    arguments = (*short_run(two_classes, tmp_path, *settings), "--until=pretrain")
    ended = twofold(*arguments)
    assert ended.status == 0, ended
    encoder = rebuild_encoder(tmp_path / "folder_simclr/checkpoints")
    bias = arrays["linear_projections_output.0.bias"]
    np.testing.assert_array_equal(encoder.get_layer("dense2").bias, bias)
    assert "pretrain: finished before, reused" in twofold(*arguments).out

    write_state_dict(file, arrays | {"linear_projections_output.0.bias": bias + 1})
    assert twofold(*arguments, "--update").status == 0
    encoder = rebuild_encoder(tmp_path / "folder_simclr/checkpoints")
    np.testing.assert_array_equal(encoder.get_layer("dense2").bias, bias + 1)

    file.unlink()
    ended = twofold(*arguments)
    assert ended.status == 2
    assert f"method.weights={file}: expected a PyTorch file, received: No such" in ended.error


def _three_channels() -> dict[str, np.ndarray]:
    """The weights for coloured images of 20x20, whose last map is 2x2."""
    random = np.random.default_rng(3)
    return state_dict() | {
        "feature_extractor.0.weight": random.normal(size=(2, 3, 5, 5)).astype("f4"),
        "linear_projections.0.weight": random.normal(size=(5, 12)).astype("f4"),
    }
