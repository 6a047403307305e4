"""Pretrain step: from prepared images to an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from twofold.components import distribute
from twofold.components.data.store.manifest import Manifest
from twofold.components.evaluation.confidence_intervals import accuracy_metrics
from twofold.components.training.continuing.start_report import read_start
from twofold.components.training.method import Method
from twofold.components.training.resuming.best_checkpoints import recorded_best
from twofold.components.training.resuming.weights_files import (
    read_description,
    write_description,
    write_final,
)
from twofold.components.training.training_curves import read_scalars
from twofold.components.training.validation import build_validation
from twofold.components.training.workers.lost_workers import naming_lost_workers
from twofold.pipeline.config import RunConfig
from twofold.pipeline.models.build import describe
from twofold.pipeline.models.method_builder import CHOICES
from twofold.pipeline.runs.code_fingerprint import code_digest
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import TRAINING, fingerprint
from twofold.pipeline.steps.checks.data_checks import check_trainable, find_held_out_split
from twofold.pipeline.steps.joining_workers import agree_before_training
from twofold.pipeline.steps.plots.settings_board import show_end, show_settings
from twofold.pipeline.steps.plots.training_plots import plot_learned, plot_training_views
from twofold.pipeline.steps.reuse.course import Part, phases_of
from twofold.pipeline.steps.reuse.fingerprints import settings_seen, training_images
from twofold.pipeline.steps.reuse.outputs import TEACHER
from twofold.pipeline.steps.training_remarks import remark_on_batches, remark_on_training
from twofold.pipeline.training import prepared_images as step_images
from twofold.pipeline.training.course_reports import (
    METRICS,
    Attendance,
    attendance,
    remind_of_failures,
)
from twofold.pipeline.training.determinism import set_determinism
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.pretraining import (
    Data,
    pretrain,
    pretrained_encoder,
    random_encoder,
)
from twofold.pipeline.training.stage import Stage, set_aside_other_inputs
from twofold.pipeline.training.stage_callbacks import stage_callbacks
from twofold.pipeline.training.stage_configs import TEACHER_SECTION, TRAINING_SECTION, stage_configs

_NO_METRICS = ("learning_rate", "images_per_second")


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Trains from the newest checkpoint of the same inputs, or from the start."""
    config = context.config
    agree_before_training(context)
    # Before anything else touches TensorFlow: it may have to split the CPU into logical devices.
    if context.workers is None:
        return _train(context, details, distribute.make_strategy(config.training.replicas))
    with naming_lost_workers(context.workers, config.training.worker_timeout_seconds) as watch:
        strategy = distribute.make_strategy(config.training.replicas)
        watch.joined = True
        context.stop.listen_again()
        return _train(context, details, strategy)


def _train(
    context: Context, details: dict[str, Any], strategy: tf.distribute.Strategy
) -> dict[str, float]:
    config, path, shown = context.config, context.run.path, _is_shown(context)
    callbacks = stage_callbacks(context, TRAINING_SECTION) if shown else ()
    details["deterministic"] = set_determinism(config.training.deterministic)
    manifest = context.manifest()
    check_trainable(config, manifest)
    remark_on_training(context)
    data = _load(context, manifest)
    if config.method.trains and config.training.labelled_batch_size is None:
        remark_on_batches(context, len(data.training.together.labels))
    _check(config, data.training, strategy.num_replicas_in_sync)
    if data.training.deciding is not None:
        details["deciding_images"] = len(data.training.deciding.labels)
    attended = attendance(context, details)
    teacher, teacher_metrics = _train_teacher(context, data, strategy, attended)
    stage = Stage(
        name="pretrain",
        config=config,
        fingerprint=str(context.run.entry("pretrain")[TRAINING]),
        checkpoints=path / "checkpoints",
        tensorboard=path / "tensorboard" if shown else None,
        metrics=path / METRICS if shown else None,
        teacher=teacher,
        phases=phases_of(_course(context)),
        attendance=attended,
        workers=context.workers,
        callbacks=callbacks,
    )
    set_aside_other_inputs(stage, context.run.set_aside)
    if shown:
        plot_training_views(config, data.training.labelled, path)
        show_settings(config, path)
    if not config.method.trains:
        return _leave_untrained(stage, data, details)
    per_epoch = InputPipeline(config, data.training).steps_per_epoch()
    details["steps_per_epoch"] = per_epoch
    try:
        method = pretrain(stage, data, strategy, context.progress)
    finally:
        _note_best(stage, details)
    started = read_start(stage.checkpoints)
    if started is not None:
        details["start_from"] = started
    if context.workers is not None:
        context.workers.part()
    if not shown:
        return {}
    plot_learned(method, data.validation or data.training.labelled, path)
    show_end(path)
    curves = read_scalars(path / "tensorboard")
    details["steps"] = int(max(steps[-1] for steps, _ in curves.values()))
    details[CHOICES] = read_description(path / "checkpoints")[CHOICES]
    if details["steps"] < config.training.epochs * per_epoch:
        details["stopped_early"] = True
    details["replicas"] = strategy.num_replicas_in_sync
    details["parameters"] = method.models["encoder"].count_params()
    rates = {"pretrain/images_per_second": float(np.median(curves["images_per_second"][1]))}
    finished = _measure_classifier(context, method, "classifier")
    remind_of_failures(context, details)
    return _last_values("pretrain", curves) | rates | teacher_metrics | finished


def _note_best(stage: Stage, details: dict[str, Any]) -> None:
    """Lists the best epochs whose weights are kept, the best first."""
    rule = stage.config.training.keep_best
    if rule is not None:
        details["best_checkpoints"] = [
            {"checkpoint": one.name, "step": one.step, "metric": rule.metric, "value": one.value}
            for one in recorded_best(stage.checkpoints)
        ]


def _course(context: Context) -> list[Part]:
    """Returns the course of the training; of several workers the chief alone knows it."""
    course: list[Part] = context.run.entry("pretrain")["course"]
    return course if context.workers is None else list(context.workers.exchange(course)[0])


def _check(config: RunConfig, images: TrainingImages, replicas: int) -> None:
    """Refuses what the images do not allow in any stage of the training, before the first step."""
    if not config.method.trains:
        return
    for section, one in stage_configs(config).items():
        InputPipeline(one, images, section).check(replicas)


def _is_shown(context: Context) -> bool:
    """Tells whether people look at what this process leaves: of several workers, the chief."""
    return context.workers is None or context.workers.cluster.is_chief


def _measure_classifier(context: Context, method: Method, prefix: str) -> dict[str, float]:
    """Measures a method that classifies on its own, with its finished weights, held out."""
    manifest = context.manifest()
    held_out = find_held_out_split(manifest)
    if "head" not in method.models or held_out is None:
        return {}
    split = step_images.load(context, manifest, held_out)
    total = int((split.labels >= 0).sum())
    if not total:
        return {}
    networks = method.models["encoder"], method.models["head"]
    measured = build_validation(*networks, split.images, split.labels, prefix)()
    right = round(measured[f"{prefix}/accuracy"] * total)
    return accuracy_metrics(f"{prefix}/test_accuracy", right, total)


def _load(context: Context, manifest: Manifest) -> Data:
    training = step_images.load_training_images(context, manifest)
    if training.deciding is not None:
        context.say(
            f"{manifest.name} has no test images, so that its validation images are reported: "
            f"{len(training.deciding.labels):,} of the labelled training images decide instead "
            f"when training stops and when the learning rate falls, and are not trained on"
        )
        return Data(training, training.deciding)
    # Measured after each epoch; only a split of that name may decide anything.
    validation = "validation" if "validation" in manifest.splits else find_held_out_split(manifest)
    if validation is None:
        return Data(training, None)
    return Data(training, step_images.load(context, manifest, validation))


def _train_teacher(
    context: Context, data: Data, strategy: tf.distribute.Strategy, attended: Attendance
) -> tuple[Path | None, dict[str, float]]:
    """Trains the teacher of self-training; returns its checkpoint directory and its metrics."""
    teacher, path = stage_configs(context.config).get(TEACHER_SECTION), context.run.path
    if teacher is None:
        return None, {}
    values = settings_seen(teacher)
    inputs = {key: values[key] for key in ("seed", "views", "encoder", "training")}
    # As the step began with it, maybe before an update.
    code = context.run.entry("pretrain").get("code")
    if code:
        inputs["code"] = code_digest(code)
    stage = Stage(
        name="teacher",
        config=teacher,
        fingerprint=fingerprint({**training_images(context), **inputs}),
        checkpoints=path / TEACHER,
        tensorboard=path / "tensorboard-teacher" if _is_shown(context) else None,
        metrics=path / "metrics-teacher.jsonl" if _is_shown(context) else None,
        attendance=attended,
        workers=context.workers,
        callbacks=stage_callbacks(context, TEACHER_SECTION) if _is_shown(context) else (),
    )
    set_aside_other_inputs(stage, context.run.set_aside)
    finished = pretrain(stage, data, strategy, context.progress)
    return stage.checkpoints, _measure_classifier(context, finished, "teacher")


def _leave_untrained(stage: Stage, data: Data, details: dict[str, Any]) -> dict[str, float]:
    """Keeps the encoder's first weights, or those of a file."""
    shape, weights = data.training.image_shape, stage.config.method.weights_file
    if weights is None:
        encoder = random_encoder(stage.config, data.training, shape)
    else:
        encoder = pretrained_encoder(stage.config, data.training, shape, weights)
    write_description(stage.checkpoints, describe(stage.config, shape, stage.fingerprint))
    write_final(stage.checkpoints, {"encoder": encoder})
    details |= {"steps": 0, "parameters": encoder.count_params()}
    return {}


def _last_values(
    prefix: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> dict[str, float]:
    return {
        f"{prefix}/{name}": float(values[-1])
        for name, (_, values) in curves.items()
        if name not in _NO_METRICS
    }
