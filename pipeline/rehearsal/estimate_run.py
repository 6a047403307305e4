"""Estimation of a run from its configuration: a few steps on few images, then thrown away."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from twofold.components import distribute
from twofold.components.data.sources.source import Item
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import UnfitSettingsError
from twofold.components.evaluation.embedding import build_embedding
from twofold.components.methods.build import build_configured_encoder
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.data_source import build_data_source, preparation_settings
from twofold.pipeline.rehearsal.estimate import (
    Counted,
    Estimate,
    SplitCount,
    count_steps,
    training_rows,
)
from twofold.pipeline.rehearsal.few_images import FewImages, choose_items, fill_splits
from twofold.pipeline.rehearsal.measure_steps import measure_stage
from twofold.pipeline.rehearsal.rehearse import open_rehearsal
from twofold.pipeline.rehearsal.short_config import images_needed
from twofold.pipeline.steps.checks.preparation_time import expected_preparation
from twofold.pipeline.steps.reuse.outputs import TEACHER
from twofold.pipeline.steps.reuse.planned_steps import ENDED, Plan
from twofold.pipeline.steps.runner import run_steps
from twofold.pipeline.training.determinism import set_determinism
from twofold.pipeline.training.prepared_images import TrainingImages, load_training_images
from twofold.pipeline.training.stage_configs import TEACHER_SECTION, TRAINING_SECTION, stage_configs

_EMBEDDED = 256


def estimate_run(
    config: RunConfig,
    folder: Path,
    counted: Counted | None = None,
    *,
    plan: Plan,
) -> Estimate:
    """Measures a few steps of each stage that is left of a run, and what else it takes.

    Args:
        config: of the whole run.
        folder: that takes all that is made.
        counted: of the run's data set, where it is prepared already.
        plan: what is left to do.

    Raises:
        TwofoldError: if the run could not begin.

    """
    strategy = distribute.make_strategy(config.training.replicas)
    set_determinism(config.training.deterministic)
    source, settings = build_data_source(config.data), preparation_settings(config.data)
    chosen = choose_items(source, settings)
    total = source.info().items
    splits = counted.splits if counted else _expected(chosen, total)
    # Before so many copies are made that a batch is full.
    for name, one in _stages(config, plan):
        if not count_steps(one, splits)[0]:
            raise UnfitSettingsError(
                f"training.batch_size={one.training.batch_size} is larger than the "
                f"{training_rows(one, splits)} training images, so that {name} has no step"
            )
    few = FewImages(source.info(), fill_splits(chosen, settings, images_needed(config)))
    context = open_rehearsal(config, folder, few=few)
    try:
        run_steps(context, "prepare")
        manifest = context.manifest()
        images = load_training_images(context, manifest)
    finally:
        context.run.close()
    found = counted or Counted(splits, _expected_bytes(manifest, total))
    stages = []
    for name, one in _stages(config, plan):
        lengths, rows = count_steps(one, found.splits), training_rows(one, found.splits)
        few_of_them = one.model_copy(update={"data": context.config.data})
        measured = measure_stage(name, few_of_them, images, strategy, lengths, rows)
        stages.append(dataclasses.replace(measured, trained=plan.trained.get(name) or 0))
    encoder = build_configured_encoder(config.encoder, images.image_shape, config.seed)
    return Estimate(
        device=_device(strategy),
        splits=found.splits,
        counted=counted is not None,
        image_shape=images.image_shape,
        features=encoder.output_shape[-1],
        steps=plan.steps,
        prepare_seconds=0.0 if counted else expected_preparation(config, source),
        stages=tuple(stages),
        embed_seconds=_embed_seconds(encoder, images) if "evaluate" in plan.steps else 0.0,
        embedded_parts=1 + sum(one != "pixels" for one in config.evaluation.baselines),
        dataset_bytes=found.dataset_bytes,
        encoder_bytes=4 * encoder.count_params(),
    )


def _stages(config: RunConfig, plan: Plan) -> list[tuple[str, RunConfig]]:
    """Gives the stages of training that are left by name, with their configurations."""
    if not config.method.trains or "pretrain" not in plan.steps:
        return []
    sections = stage_configs(config)
    names = {TEACHER_SECTION: TEACHER, TRAINING_SECTION: "pretrain"}
    stages = [(names[one], sections[one]) for one in names if one in sections]
    return [(name, one) for name, one in stages if plan.trained.get(name, 0) is not ENDED]


def _embed_seconds(encoder: keras.Model, images: TrainingImages) -> float:
    """Measures how long an encoder takes for an image, once it is traced."""
    pixels = np.asarray(images.labelled.images[:_EMBEDDED])
    embed = build_embedding(encoder, images.image_shape)
    embed(pixels)
    started = time.perf_counter()
    embed(pixels)
    return (time.perf_counter() - started) / len(pixels)


def _expected(chosen: Sequence[Item], total: int) -> dict[str, SplitCount]:
    """Expects as many images of each split and without a label as there are among few."""
    splits: dict[str, SplitCount] = {}
    for name in dict.fromkeys(str(item.split) for item in chosen):
        own = [item.label >= 0 for item in chosen if item.split == name]
        images = round(total * len(own) / len(chosen))
        labelled = round(images * sum(own) / len(own))
        splits[name] = SplitCount(labelled, images - labelled)
    return splits


def _expected_bytes(manifest: Manifest, total: int) -> int:
    few = sum(split.images for split in manifest.splits.values())
    shards = (shard.bytes for split in manifest.splits.values() for shard in split.shards)
    return round(sum(shards) * total / few)


def _device(strategy: tf.distribute.Strategy) -> str:
    gpus, replicas = tf.config.list_physical_devices("GPU"), strategy.num_replicas_in_sync
    if not gpus:
        return "CPU" if replicas == 1 else f"{replicas} logical CPUs"
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    return name if replicas == 1 else f"{replicas} x {name}"
