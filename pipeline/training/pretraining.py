"""Pretraining stage, from images to finished weights; a teacher's is one, too."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from twofold.components import distribute, keyed_random
from twofold.components.data.reading.label_subset import sample_labelled
from twofold.components.data.reading.split import Split
from twofold.components.encoders.build import read_torch_weights
from twofold.components.errors import SettingsError
from twofold.components.methods.build import build_configured_encoder
from twofold.components.training.averaging import averaged, build_reestimation
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import Method, sample_views
from twofold.components.training.resuming.best_checkpoints import BestCheckpoints
from twofold.components.training.resuming.weights_files import read_weights, write_weights
from twofold.components.training.step import TrainState
from twofold.components.training.validation import EpochRules, MonitoredMetric, build_validation
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.policies_settings import NoViewsSettings
from twofold.components.transforms.settings import ViewsSettings
from twofold.pipeline.config import RunConfig, TrainingSettings
from twofold.pipeline.models.build import build_state, check_compilation
from twofold.pipeline.models.method_builder import draws_repeat
from twofold.pipeline.runs.run_context import ProgressFactory
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.monitoring.training_board import WatchedImages
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.stage import Stage, StagePlan, best_weights, train_stage
from twofold.pipeline.training.start_from import start_from
from twofold.pipeline.training.training_alarms import build_alarms

# Of an epoch, for the batch statistics of averaged weights that are looked at while training.
_FEW_BATCHES = 4


@dataclasses.dataclass(frozen=True)
class Data:
    """The images of a run.

    Attributes:
        training: to train on.
        validation: to measure on after each epoch, or None.

    """

    training: TrainingImages
    validation: Split | None


def pretrain(
    stage: Stage, data: Data, strategy: tf.distribute.Strategy, progress: ProgressFactory
) -> Method:
    """Trains as the stage's configuration says; see ``train_stage``.

    What training ends with is the average where weights are averaged, otherwise the best by early
    stopping, if it keeps them, otherwise the weights of the last step.

    Returns:
        The method with its finished networks.

    Raises:
        DataError: if the batches do not fit the images or the replicas.
        TrainingDivergedError: if the loss is no longer a finite number.
        ValueError: if the images do not fit the networks.

    """
    config, batches = stage.config, InputPipeline(stage.config, data.training)
    replicas = strategy.num_replicas_in_sync
    batches.check(replicas)
    check_compilation(config.training, replicas)
    check_profile_steps(config.training, batches.loop_settings().steps)
    classes = len(data.training.labelled.class_names)

    def build(method: Method, settings: LoopSettings) -> TrainState:
        state = build_state(config, method, settings, classes, replicas, stage.phases)

        def say(line: str) -> None:
            stage.attendance.say(f"{stage.name}: {line}")

        start_from(config, state, stage.checkpoints, say, stage.workers)
        return state

    finished, best = _Finished(batches), _best(stage)
    plan = StagePlan(
        batches=batches,
        build_state=build,
        epoch_rules=lambda state: _epoch_rules(stage, data.validation, state, finished, best),
        final_weights=lambda state: _take_final_weights(stage, batches, state),
        learning_rate_curve=True,
        alarms=lambda state: build_alarms(batches, state, lambda: finished.weights(state)),
        watched=lambda state: WatchedImages(
            data.training.labelled,
            data.validation,
            config.seed,
            # What one worker alone is told it measures alone, without the others.
            contextlib.nullcontext
            if distribute.count_workers() > 1
            else lambda: finished.weights(state),
        ),
        best=best,
    )
    return train_stage(stage, plan, strategy, progress)


class _Finished:
    """Networks as training will end with them, before it does: with averaged weights, if any."""

    def __init__(self, batches: InputPipeline) -> None:
        self._batches = batches
        self._estimate: Callable[[], None] | None = None

    @contextlib.contextmanager
    def weights(self, state: TrainState) -> Iterator[None]:
        """Gives the networks these weights for a while."""
        if state.average is None:
            yield
            return
        if self._estimate is None:
            self._estimate = _statistics(state.models["encoder"], self._batches, _FEW_BATCHES)
        encoder = state.models["encoder"]
        with averaged(state.average, state.variables, encoder, self._estimate):
            yield


def _best(stage: Stage) -> BestCheckpoints | None:
    rule = stage.config.training.keep_best
    if rule is None:
        return None
    mode: Literal["min", "max"] = "min" if rule.metric == "loss" else "max"
    return BestCheckpoints(stage.checkpoints, rule.count, mode)


def _epoch_rules(
    stage: Stage,
    validation: Split | None,
    state: TrainState,
    finished: _Finished,
    best: BestCheckpoints | None,
) -> EpochRules | None:
    head = state.models.get("head") or (state.probe.head if state.probe is not None else None)
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
    measure = build_validation(state.models["encoder"], head, validation.images, labels, prefix)

    def keep(directory: Path) -> None:
        # Several workers have the same weights.
        if stage.workers is None or stage.workers.cluster.is_chief:
            write_weights(directory, state.models, stage.writer)

    def validate() -> Mapping[str, float]:
        with finished.weights(state):
            measured = measure()
            if best is not None and training.keep_best is not None:
                best.offer(state.step, measured[f"{prefix}/{training.keep_best.metric}"], keep)
        return measured

    return EpochRules(
        validate=validate,
        keep_best=lambda: write_weights(best_weights(stage), state.models, stage.writer),
        **monitored,
    )


def _take_final_weights(stage: Stage, batches: InputPipeline, state: TrainState) -> None:
    if state.average is not None:
        state.average.assign_to(state.variables)
    elif best_weights(stage).exists() and _keeps_best(stage.config.training, state):
        read_weights(best_weights(stage), state.models)
    if state.average is not None or batches.config.training.batch_statistics == "images":
        _estimate_statistics(state.models["encoder"], batches)


def _keeps_best(training: TrainingSettings, state: TrainState) -> bool:
    rule = training.early_stopping
    return rule is not None and (rule.keep == "best" or state.extra["early_stopping"].stopped)


def check_profile_steps(training: TrainingSettings, steps: int) -> None:
    """Refuses to profile steps that training does not have.

    Raises:
        SettingsError: naming how many it has.

    """
    asked = training.profile_steps
    if asked is not None and asked[1] > steps:
        raise SettingsError(
            f"training.profile_steps={list(asked)}: expected steps up to the last, {steps:,}"
        )


def random_encoder(
    config: RunConfig, training: TrainingImages, image_shape: tuple[int, ...]
) -> keras.Model:
    """Builds the encoder with its first weights; its batch statistics are those of the images."""
    height, width, channels = image_shape
    encoder = build_configured_encoder(config.encoder, (height, width, channels), config.seed)
    _estimate_statistics(encoder, InputPipeline(config, training))
    return encoder


def pretrained_encoder(
    config: RunConfig, training: TrainingImages, image_shape: tuple[int, ...], weights: str
) -> keras.Model:
    """Builds the encoder with the weights of a PyTorch file, and with its batch statistics.

    ``training.batch_statistics=images`` puts those of the images in their place.

    Raises:
        CheckpointError: if the file cannot be used, or does not fit the encoder.

    """
    height, width, channels = image_shape
    encoder = build_configured_encoder(config.encoder, (height, width, channels), config.seed)
    read_torch_weights(config.encoder.name, encoder, weights)
    if config.training.batch_statistics == "images":
        _estimate_statistics(encoder, InputPipeline(config, training))
    return encoder


def _estimate_statistics(encoder: keras.Model, batches: InputPipeline) -> None:
    """Gives batch normalisation the statistics of one epoch, of views or of the images."""
    _statistics(encoder, batches)()


def _statistics(
    encoder: keras.Model, batches: InputPipeline, most: int | None = None
) -> Callable[[], None]:
    """Builds what gives batch normalisation the statistics of at most so many batches."""
    of_images = batches.config.training.batch_statistics == "images"
    draw = _draw_views(batches, NoViewsSettings() if of_images else batches.config.views)
    reestimate = build_reestimation(encoder)
    return lambda: reestimate(
        draw(images, key_hashes)
        for images, key_hashes in itertools.islice(batches.one_epoch(), most)
    )


def _draw_views(
    batches: InputPipeline, views: ViewsSettings
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Builds what draws a policy's views, float32 [B, H, W, C] in [0, 1], of a batch."""
    policy = build_view(views, batches.config.seed)
    compiled = batches.config.training.compile != "none"

    @tf.function(autograph=False)
    def draw(images: tf.Tensor, key_hashes: tf.Tensor) -> tf.Tensor:
        keys = keyed_random.image_keys(batches.config.seed, tf.constant(0, tf.int64), key_hashes)
        if draws_repeat(batches.config):
            keys = keyed_random.tell_repeats_apart(keys, key_hashes)
        return sample_views((policy,), images, keys, compiled=compiled)[0]

    return lambda images, key_hashes: draw(images, key_hashes)
