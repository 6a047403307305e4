"""Images to an encoder."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components import distribute, keyed_random
from components.data.errors import DataError
from components.data.reader import Split, batches
from components.evaluation.figures import draw_curves, draw_views
from components.training.checkpoint import Checkpoints, write_description
from components.training.loop import Callbacks, LoopSettings, run_loop
from components.training.step import build_train_step
from components.training.tensorboard import TensorBoardWriter, read_scalars
from components.transforms.views import make_views
from pipeline.build import build_method, build_state, build_view, describe
from pipeline.config import RunConfig
from pipeline.steps import images as step_images
from pipeline.steps.context import Context
from pipeline.steps.inputs import step_inputs

_PICTURED = 10
_FED = ("image", "label", "identity")


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Trains from the newest checkpoint of the same inputs, or from the start."""
    config, path = context.config, context.run.path
    # Before anything else touches TensorFlow: it may have to split the CPU into logical devices.
    strategy = distribute.make_strategy(config.training.replicas)
    tf.config.experimental.enable_op_determinism()
    manifest = context.manifest()
    split = step_images.load_training_images(context, manifest)
    settings = _loop_settings(config, split, strategy.num_replicas_in_sync)
    _forget_other_inputs(path, step_inputs("pretrain", context))
    with strategy.scope():
        method = build_method(config, _image_shape(split))
        state = build_state(config, method, settings, len(split.class_names))
    checkpoints = Checkpoints(path / "checkpoints", state)
    write_description(
        path / "checkpoints",
        describe(config, split.images.shape[1:], step_inputs("pretrain", context)),
    )
    train_step = build_train_step(strategy, method, state, seed=config.seed)
    writer = TensorBoardWriter(path / "tensorboard")
    _picture_views(config, split, path / "figures" / "views.png")
    writer.image(0, "views", path / "figures" / "views.png")
    start = time.monotonic()
    last = {"step": 0, "time": start}

    def on_metrics(step: int, means: Mapping[str, float]) -> None:
        now = time.monotonic()
        rate = (step - last["step"]) * config.training.batch_size / max(now - last["time"], 1e-9)
        last.update(step=step, time=now)
        learning_rate = float(state.optimizer.learning_rate.numpy())
        writer.scalars(step, {**means, "learning_rate": learning_rate, "images_per_second": rate})

    def batches_from(first_step: int) -> tf.data.Dataset:
        last["step"] = first_step
        return _distribute(
            strategy, split, config.training.batch_size, config.seed, first_step, settings.steps
        )

    total = settings.steps * config.training.batch_size
    with context.progress("pretrain", total, "images") as show:
        run_loop(
            state,
            train_step,
            batches_from,
            checkpoints,
            settings,
            Callbacks(
                metrics=on_metrics,
                progress=lambda step: show(step * config.training.batch_size),
            ),
        )
    writer.close()
    curves = read_scalars(path / "tensorboard")
    _picture_curves(curves, path / "figures" / "curves.png")
    details |= {"steps": settings.steps, "replicas": strategy.num_replicas_in_sync}
    details["parameters"] = method.models["encoder"].count_params()
    return {
        f"pretrain/{name}": float(values[-1])
        for name, (_, values) in curves.items()
        if name not in ("learning_rate", "images_per_second")
    } | {"pretrain/images_per_second": float(np.median(curves["images_per_second"][1]))}


def _forget_other_inputs(path: Path, step_fingerprint: str) -> None:
    """Removes the checkpoints and curves of other inputs, which training must not go on from."""
    try:
        present = json.loads((path / "checkpoints" / "model.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        present = {}
    if present.get("fingerprint") != step_fingerprint:
        shutil.rmtree(path / "checkpoints", ignore_errors=True)
        shutil.rmtree(path / "tensorboard", ignore_errors=True)


def _loop_settings(config: RunConfig, split: Split, replicas: int) -> LoopSettings:
    training = config.training
    if training.batch_size > len(split.images):
        raise DataError(
            f"training.batch_size={training.batch_size} is larger than the {len(split.images)} "
            f"training images"
        )
    if training.batch_size % replicas or training.batch_size // replicas < 2:
        raise DataError(
            f"training.batch_size={training.batch_size} must divide into at least 2 images for "
            f"each of {replicas} replicas"
        )
    steps_per_epoch = len(split.images) // training.batch_size
    return LoopSettings(
        steps=training.epochs * steps_per_epoch,
        steps_per_epoch=steps_per_epoch,
        log_every=training.log_every,
        checkpoint_every=training.checkpoint_every_epochs * steps_per_epoch,
    )


def _image_shape(split: Split) -> tuple[int, int, int]:
    height, width, channels = split.images.shape[1:]
    return height, width, channels


def _distribute(
    strategy: tf.distribute.Strategy,
    split: Split,
    batch_size: int,
    seed: int,
    first_step: int,
    steps: int,
) -> tf.data.Dataset:
    replicas = strategy.num_replicas_in_sync

    def for_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        shares = batches(
            split,
            batch_size=batch_size,
            seed=seed,
            first_step=first_step,
            steps=steps - first_step,
            replicas=replicas,
            replica_ids=range(first, first + local),
        )
        # Keys are strings, which GPUs cannot hold.
        return shares.map(lambda batch: {name: batch[name] for name in _FED})

    return strategy.distribute_datasets_from_function(for_worker)


def _picture_views(config: RunConfig, split: Split, path: Path) -> None:
    originals = np.asarray(split.images[:_PICTURED])
    keys = keyed_random.image_keys(
        config.seed, tf.constant(0, tf.int64), tf.range(len(originals), dtype=tf.int64)
    )
    views = make_views((build_view(config),) * 2, tf.constant(originals), keys)
    draw_views(originals, views.numpy(), path)


def _picture_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    names = {
        "loss": "loss",
        "contrastive_accuracy": "contrastive accuracy",
        "online_probe/accuracy": "online probe accuracy",
        "online_probe/loss": "online probe loss",
        "feature_std": "feature standard deviation",
        "learning_rate": "learning rate",
    }
    chosen = {
        title: (curves[tag][0].tolist(), curves[tag][1].tolist())
        for tag, title in names.items()
        if tag in curves
    }
    draw_curves(chosen, path)
