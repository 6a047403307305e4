"""Training stage, from images to finished weights; resumable."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.data.reading.label_subset import sample_labelled
from twofold.components.data.reading.split import Split
from twofold.components.methods.build import ImageShape, build_configured_encoder
from twofold.components.methods.method import Method, sample_views
from twofold.components.training.averaging import reestimate_batch_norm
from twofold.components.training.checkpoint import (
    Checkpoints,
    is_final,
    read_final,
    read_weights,
    write_description,
    write_final,
    write_weights,
)
from twofold.components.training.loop import Callbacks, run_loop
from twofold.components.training.precision import precision
from twofold.components.training.step import TrainState, build_train_step
from twofold.components.training.tensorboard import Rate, TensorBoardWriter
from twofold.components.training.validation import EpochRules, MonitoredMetric, build_validation
from twofold.components.transforms.policies import build_view
from twofold.pipeline.config import RunConfig
from twofold.pipeline.models.build import (
    build_state,
    describe,
    step_settings,
)
from twofold.pipeline.models.method_builder import build_method
from twofold.pipeline.runs.run_context import ProgressFactory
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.prepared_images import TrainingImages

_BEST = "best"


@dataclasses.dataclass(frozen=True)
class Stage:
    """A training of its own: a method on images, in a directory.

    Attributes:
        name: for people.
        config: of this stage.
        fingerprint: of all that its weights come from.
        checkpoints: where its weights and its description are kept.
        tensorboard: where its curves are kept.
        teacher: checkpoint directory of a finished teacher, for self-training.

    """

    name: str
    config: RunConfig
    fingerprint: str
    checkpoints: Path
    tensorboard: Path
    teacher: Path | None = None


@dataclasses.dataclass(frozen=True)
class Data:
    """The images of a run.

    Attributes:
        training: to train on.
        validation: to measure on after each epoch, or None.

    """

    training: TrainingImages
    validation: Split | None

    @property
    def image_shape(self) -> ImageShape:
        """(H, W, C)."""
        height, width, channels = self.training.labelled.images.shape[1:]
        return height, width, channels


def set_aside_other_inputs(stage: Stage, set_aside: Callable[..., None]) -> None:
    """Sets aside the checkpoints and curves of other inputs, which training must not go on from.

    Call it once, before anything writes to the stage's directories.

    Args:
        stage: about to be trained.
        set_aside: moves the directories that it is given to where they are kept.

    """
    try:
        text = (stage.checkpoints / "model.json").read_text(encoding="utf-8")
        present = json.loads(text)
    except (FileNotFoundError, json.JSONDecodeError):
        present = {}
    if present.get("fingerprint") != stage.fingerprint:
        set_aside(stage.checkpoints, stage.tensorboard)


def train(
    stage: Stage, data: Data, strategy: tf.distribute.Strategy, progress: ProgressFactory
) -> Method:
    """Trains from the newest checkpoint of the same inputs, or from the start.

    Call ``set_aside_other_inputs`` before. What training ends with is written last: the average
    where weights are averaged, otherwise the best by early stopping, otherwise those of the last
    step.

    Returns:
        The method with its finished networks.

    Raises:
        DataError: if the batches do not fit the images or the replicas.
        ValueError: if the images do not fit the networks.

    """
    config, batches = stage.config, InputPipeline(stage.config, data.training)
    replicas = strategy.num_replicas_in_sync
    batches.check(replicas)
    settings = batches.loop_settings()
    classes = len(data.training.labelled.class_names)
    with strategy.scope(), precision(config.training.precision):
        method = build_method(config, data.image_shape, classes, settings.steps, stage.teacher)
    if is_final(stage.checkpoints):
        read_final(stage.checkpoints, method.models)
        return method
    with strategy.scope():
        state = build_state(config, method, settings, classes, replicas)
    checkpoints = Checkpoints(stage.checkpoints, state)
    write_description(stage.checkpoints, describe(config, data.image_shape, stage.fingerprint))
    train_step = build_train_step(strategy, method, state, step_settings(config, replicas))
    writer = TensorBoardWriter(stage.tensorboard)
    batch_size = config.training.batch_size
    rate = Rate(batch_size)

    def on_metrics(step: int, means: Mapping[str, float]) -> None:
        added = {
            "learning_rate": float(state.optimizer.learning_rate.numpy()),
            "images_per_second": rate.since(step),
        }
        writer.scalars(step, {**means, **added})

    def batches_from(first_step: int) -> tf.data.Dataset:
        rate.begin(first_step)
        return batches.distribute(strategy, first_step, settings.steps)

    with progress(stage.name, settings.steps * batch_size, "images") as show:
        run_loop(
            state,
            train_step,
            batches_from,
            checkpoints,
            settings,
            Callbacks(metrics=on_metrics, progress=lambda step: show(step * batch_size)),
            _epoch_rules(stage, data, state),
        )
    writer.close()
    _finish(stage, batches, state)
    return method


def _epoch_rules(stage: Stage, data: Data, state: TrainState) -> EpochRules | None:
    head = state.models.get("head") or (state.probe.head if state.probe is not None else None)
    validation = data.validation
    if head is None or validation is None or not (validation.labels >= 0).any():
        return None
    training = stage.config.training
    prefix = validation.name
    monitored: dict[str, MonitoredMetric] = {}
    if training.plateau is not None:
        metric = f"{prefix}/{training.plateau.metric}"
        monitored["plateau"] = MonitoredMetric(metric, state.extra["plateau"])
    if training.early_stopping is not None:
        metric = f"{prefix}/{training.early_stopping.metric}"
        monitored["early_stopping"] = MonitoredMetric(metric, state.extra["early_stopping"])
    rows = sample_labelled(validation, training.validation_images)
    labels = np.full_like(validation.labels, -1)
    labels[rows] = validation.labels[rows]
    return EpochRules(
        validate=build_validation(state.models["encoder"], head, validation.images, labels, prefix),
        keep_best=lambda: write_weights(stage.checkpoints / _BEST, state.models),
        **monitored,
    )


def _finish(stage: Stage, batches: InputPipeline, state: TrainState) -> None:
    """Gives the networks the weights that training ends with, and writes those."""
    if state.average is not None:
        state.average.assign_to(state.variables)
        reestimate_batch_norm(state.models["encoder"], views_of(batches))
    elif (stage.checkpoints / _BEST).exists():
        read_weights(stage.checkpoints / _BEST, state.models)
    write_final(stage.checkpoints, state.models)


def random_encoder(
    config: RunConfig, training: TrainingImages, image_shape: tuple[int, ...]
) -> keras.Model:
    """Builds the encoder with its first weights; its batch statistics are those of the images."""
    height, width, channels = image_shape
    encoder = build_configured_encoder(config.encoder, (height, width, channels), config.seed)
    reestimate_batch_norm(encoder, views_of(InputPipeline(config, training)))
    return encoder


def views_of(batches: InputPipeline) -> Iterator[tf.Tensor]:
    """Gives one epoch of the first view policy's views, float32 [B, H, W, C] in [0, 1]."""
    policy = build_view(batches.config.views)
    compiled = batches.config.training.compile != "none"

    @tf.function(autograph=False)
    def draw(images: tf.Tensor, key_hashes: tf.Tensor) -> tf.Tensor:
        keys = keyed_random.image_keys(batches.config.seed, tf.constant(0, tf.int64), key_hashes)
        return sample_views((policy,), images, keys, compiled=compiled)[0]

    for images, key_hashes in batches.one_epoch():
        yield draw(images, key_hashes)
