"""Extension from a user's own program: a source, method, encoder and views, YAML to SavedModel.

Each is defined here alone and registered; nothing else of Twofold is touched.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import Field

from tests.pipeline.conftest import Outcome
from twofold.components.data.sources import SOURCES
from twofold.components.data.sources.source import (
    Item,
    Select,
    Source,
    SourceInfo,
    SourceSettings,
    position_range,
    positions,
    select_all,
)
from twofold.components.data.store.manifest import load_manifest
from twofold.components.encoders.settings import ENCODERS, EncoderSettings
from twofold.components.errors import ConfigError
from twofold.components.export.proof.proof import Proof
from twofold.components.losses.reduction import mean_share
from twofold.components.methods.build import PartBuilder
from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.training.method import (
    Method,
    MethodInput,
    MethodOutput,
    Picture,
    sample_views,
)
from twofold.components.transforms.settings import VIEWS, ViewsSettings
from twofold.components.transforms.views import ViewFunction
from twofold.pipeline.config import RunConfig, load_yaml, override, to_commented_yaml
from twofold.pipeline.steps import export

Twofold = Callable[..., Outcome]


# A source of images.


class StripesSource:
    """Images of stripes, some along and some across; which of the two is the label."""

    def __init__(self, stripes: int, width: int) -> None:
        self._stripes, self._width = stripes, width

    def info(self) -> SourceInfo:
        """Names, count, and a fingerprint of the settings."""
        return SourceInfo(
            kind="stripes",
            class_names=("along", "across"),
            latent_names=(),
            fingerprint=hashlib.sha256(f"{self._stripes} {self._width}".encode()).hexdigest(),
            items=self._stripes,
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Positions."""
        return positions(0, self._stripes, items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """Each image a shade of its own."""
        for position in position_range(task):
            lines = (
                np.arange(16)[:, None] // self._width % 2 * (55 + 200 * position / self._stripes)
            )
            image = np.broadcast_to(lines, (16, 16)).astype(np.uint8)[..., None]
            label = position % 2
            yield Item(
                key=f"stripes/{position:04d}",
                image=image.transpose(1, 0, 2) if label else image,
                label=label,
                content_id="stripes",
            )


class StripesSettings(SourceSettings):
    """Settings of generated stripes."""

    name: Literal["stripes"] = "stripes"
    reads_files: ClassVar[bool] = False
    stripes: int = Field(60, ge=1, description="how many images")
    width: int = Field(2, ge=1, le=8, description="pixels of a stripe")

    def build(self) -> Source:
        """Builds the source."""
        return StripesSource(**self.arguments())


# A method: its loss, its class and its settings.


def hinge_loss(first: tf.Tensor, second: tf.Tensor, margin: float) -> tf.Tensor:
    """This replica's share of the mean of ``max(0, |first - second|^2 - margin)`` over images."""
    distances = tf.reduce_sum(tf.square(first - second), axis=1)
    return mean_share(tf.nn.relu(distances - margin))


@dataclasses.dataclass(frozen=True)
class Closeness(Method):
    """Two views of an image come close to one another and to an anchor of the method's own."""

    encoder: keras.Model
    projector: keras.Model
    anchor: tf.Tensor
    views: Sequence[ViewFunction]
    margin: float
    compile_views: bool = True

    @classmethod
    def own_parts(cls) -> Mapping[str, PartBuilder]:
        return {"anchor": lambda parts: tf.zeros(parts["projector"].output_shape[-1])}

    @property
    def models(self) -> Mapping[str, keras.Model]:
        return {"encoder": self.encoder, "projector": self.projector}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        first, second = (self.projector(one, training=True) for one in features)
        pull = hinge_loss(first, self.anchor + tf.zeros_like(first), self.margin)
        loss = hinge_loss(first, second, self.margin) + pull
        return MethodOutput(loss=loss, metrics={"pull": pull}, features=features[0])

    def pictures(self, images: np.ndarray) -> Mapping[str, Picture]:
        return {"negatives": Picture(1.0 - images / 255.0, images, "negative")}


class ClosenessSettings(ProjectorSettings):
    """Views of an image come close."""

    implementation: ClassVar[str] = f"{__name__}:Closeness"
    figures: ClassVar[tuple[str, ...]] = ("negatives",)
    name: Literal["closeness"] = "closeness"
    margin: float = Field(0.0, ge=0.0, description="squared distance that is near enough")


# An encoder.


def build_pooled(image_shape: tuple[int, int, int], *, seed: int, units: int) -> keras.Model:
    images = keras.Input(image_shape, name="images")
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(images))
    initial = keras.initializers.GlorotUniform(seed=seed)
    x = keras.layers.Dense(units, kernel_initializer=initial, name="units")(x)
    return keras.Model(images, x, name="pooled")


class PooledSettings(EncoderSettings):
    """One dense layer of a coarse image."""

    implementation: ClassVar[str] = f"{__name__}:build_pooled"
    name: Literal["pooled"] = "pooled"
    units: int = Field(8, ge=1, description="width of the features")


# A view policy.


def dimmed(*, least: float) -> ViewFunction:
    def view(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        share = tf.cast(keys % 1000, tf.float32) / 1000.0
        return images * (least + (1.0 - least) * share)[:, None, None, None]

    return view


class DimmedSettings(ViewsSettings):
    """The image at a lower brightness."""

    implementation: ClassVar[str] = f"{__name__}:dimmed"
    policy: Literal["dimmed"] = "dimmed"
    least: float = Field(0.5, ge=0.0, le=1.0, description="least factor on the brightness")


# All of them, from a configuration.


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers them for one test; a program of its own just registers."""
    added: tuple[tuple[Any, Any], ...] = (
        (SOURCES, StripesSettings),
        (METHODS, ClosenessSettings),
        (ENCODERS, PooledSettings),
        (VIEWS, DimmedSettings),
    )
    for registry, settings in added:
        monkeypatch.setattr(registry, "classes", dict(registry.classes))
        registry.register(settings)


CONFIGURATION = """
name: mine
data: {source: stripes, stripes: 20, image_size: 16, duplicates: 'off'}
views: {policy: dimmed, least: 0.25}
encoder: {name: pooled, units: 6}
method: {name: closeness, projector: [5], margin: 0.1}
training: {batch_size: 8, epochs: 1, compile: none}
evaluation:
  {probe_epochs: 1, regularisation_sweep: [], neighbour_sweep: [], rsm_images: 4, measures: []}
export: {neighbour_head: false}
"""


def test_what_is_registered_runs_from_its_configuration_to_a_saved_model(
    twofold: Twofold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The model is loaded below, in this process, which costs less.
    monkeypatch.setattr(export, "prove", lambda *arguments: Proof({}, {1: 1.0}))
    file = tmp_path / "mine.yaml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    config = load_yaml(file)
    assert isinstance(config.method, ClosenessSettings)
    assert config.data.source == StripesSettings(stripes=20)

    ended = twofold("run", str(file), "--workdir", str(tmp_path))

    assert ended.status == 0, ended
    run = tmp_path / "mine"
    (folder,) = (tmp_path / "datasets").glob("stripes-*")
    manifest = load_manifest(str(folder))
    assert (manifest.class_names, manifest.counts.written) == (("along", "across"), 20)
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["pretrain/loss"] >= metrics["pretrain/pull"] >= 0
    assert (run / "figures" / "negatives.png").is_file()
    assert np.load(run / "embeddings" / "test.npy").shape[1] == 6
    model = tf.saved_model.load(str(run / "saved_model" / "1"))
    assert "serving_default" in model.signatures
    assert load_yaml(run / "config.yaml") == config


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("method.margni=1", "unknown key method.margni: did you mean 'margin'?"),
        ("method.margin=-1", "method.margin: input should be greater than or equal to 0"),
        ("encoder.width=1", "unknown key encoder.width: expected one of name, units"),
        ("data.width=9", "data.width: input should be less than or equal to 8"),
        ("views.policy=dimed", "unknown views.policy 'dimed': expected one of"),
    ],
)
def test_its_settings_are_refused_like_any_others(
    setting: str, message: str, twofold: Twofold, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(CONFIGURATION, encoding="utf-8")

    ended = twofold("show", str(file), "--set", setting)

    assert ended.status != 0
    assert message in ended.error


def test_a_source_is_chosen_by_its_name_and_set_like_any_other() -> None:
    config = override(RunConfig(), ["data.source=stripes", "data.stripes=9"])

    assert config.data.source == StripesSettings(stripes=9)
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config
    assert "  # pixels of a stripe (1 to 8)\n  width: 2\n" in to_commented_yaml(config)


def test_the_settings_of_a_source_are_refused_of_another() -> None:
    with pytest.raises(ConfigError, match=r"data\.stripes is a setting of data\.source=stripes"):
        override(RunConfig(), ["data.stripes=9"])
