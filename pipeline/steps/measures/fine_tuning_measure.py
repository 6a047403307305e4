"""Fine-tuning with labels, and the same network trained from scratch beside it."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.label_subset import keep_labels, labelled_rows
from twofold.components.data.reading.split import Split
from twofold.components.data.store.manifest import Manifest
from twofold.components.errors import UnfitSettingsError
from twofold.components.evaluation.embedding_store import EmbeddingStore
from twofold.components.evaluation.plots.accuracy_plots import plot_fraction_curves
from twofold.components.evaluation.probes.fine_tuning import (
    Tuned,
    epochs_for,
    fraction_metrics,
    read_result,
    write_result,
)
from twofold.components.evaluation.probes.label_fractions import MeanInterval
from twofold.components.training.method import Method, to_unit_range
from twofold.components.training.resuming.checkpoint_files import remove_checkpoints
from twofold.components.training.resuming.weights_files import is_final, read_weights, write_final
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_context import Context, after
from twofold.pipeline.steps.measures.embedded_images import array_name
from twofold.pipeline.steps.measures.fine_tuning_stage import (
    PREFIXES,
    Images,
    Job,
    configure,
    fine_tune,
    fine_tuning_stage,
    images_seen,
)
from twofold.pipeline.training.course_reports import remind_of_failures
from twofold.pipeline.training.stage import Stage, best_weights, set_aside_other_inputs

_VALIDATION = "validation"
_BATCH = 256


def check_finetune(context: Context, manifest: Manifest) -> None:
    """Refuses to fine-tune without classes.

    Raises:
        UnfitSettingsError: if fine-tuning is configured and there are fewer than two classes.

    """
    epochs = context.config.evaluation.finetune_epochs
    if epochs is not None and len(manifest.class_names) < 2:
        raise UnfitSettingsError(
            f"evaluation.finetune_epochs={epochs} trains on labels: expected at least two classes "
            f"in {manifest.name}, found {len(manifest.class_names)}"
        )


def measure_finetuning(
    context: Context,
    details: dict[str, Any],
    store: EmbeddingStore,
    splits: Mapping[str, Split],
    held_out_name: str,
) -> dict[str, float]:
    """Fine-tunes as ``evaluation.finetune_*`` says, and measures held out; resumable.

    Args:
        context: of the run.
        details: takes what is recorded beside the metrics.
        store: with the embeddings of the training images.
        splits: the images: "train", the held-out split, and "validation" where there is one.
        held_out_name: the split to measure on.

    Returns:
        Metrics by name; none where fine-tuning is off.

    Raises:
        TrainingDivergedError: if the loss is no longer a finite number.

    """
    config = context.config.evaluation
    if config.finetune_epochs is None:
        return {}
    validation = splits.get(_VALIDATION) if held_out_name != _VALIDATION else None
    if validation is not None and not (validation.labels >= 0).any():
        validation = None
    images = Images(
        splits["train"], splits[held_out_name], validation, store.read(array_name("train"))
    )
    starts = ["fine-tuned", *["from scratch"] * config.finetune_from_scratch]
    metrics: dict[str, float] = {}
    for start in starts:
        job = Job(start, config.finetune_epochs)
        settings = configure(context, job, images.train)
        length = images_seen(settings, images.train)
        with context.progress(start, length, "images") as show:
            tuned = _tune(context, details, job, settings, images, show)
            metrics |= tuned.metrics(PREFIXES[start])
            show(length)
    remind_of_failures(context, details)
    details["finetune"] = {
        "chosen_on": None if validation is None else _VALIDATION,
        "labels": len(labelled_rows(images.train)),
    }
    return metrics | _measure_fractions(context, details, images, starts, config.finetune_epochs)


def _measure_fractions(
    context: Context, details: dict[str, Any], images: Images, starts: list[str], epochs: int
) -> dict[str, float]:
    """Does the same on parts of the labels, the smaller within the larger, several times each."""
    config = context.config.evaluation
    jobs = [
        Job(start, epochs_for(share, epochs), share, draw, whole=False)
        for share in sorted(set(config.finetune_label_fractions))
        for draw in range(config.label_fraction_seeds)
        for start in starts
    ]
    if not jobs:
        return {}
    label_seed = context.config.data.label_seed
    kept = [keep_labels(images.train, job.share, label_seed + job.draw) for job in jobs]
    settings = [configure(context, job, split) for job, split in zip(jobs, kept, strict=True)]
    lengths = [images_seen(one, split) for one, split in zip(settings, kept, strict=True)]
    tuned: dict[str, dict[float, list[Tuned]]] = {start: {} for start in starts}
    done = 0
    with context.progress("fewer labels", sum(lengths), "images") as show:
        for job, config_of, split, length in zip(jobs, settings, kept, lengths, strict=True):
            part = dataclasses.replace(images, train=split)
            found = _tune(context, details, job, config_of, part, after(show, done))
            tuned[job.start].setdefault(job.share, []).append(found)
            done += length
            show(done)
    curves: dict[str, dict[float, MeanInterval]] = {}
    metrics: dict[str, float] = {}
    for start in starts:
        curves[start], named = fraction_metrics(PREFIXES[start], tuned[start])
        metrics |= named
    plot_fraction_curves(
        curves,
        context.run.path / "figures" / "finetune_fractions.png",
        "Fine-tuned on fewer labels",
    )
    return metrics


def _tune(
    context: Context,
    details: dict[str, Any],
    job: Job,
    config: RunConfig,
    images: Images,
    show: Callable[[int], None],
) -> Tuned:
    """Trains from the newest checkpoint of the same inputs, or from the start, and measures."""
    stage = fine_tuning_stage(context, job, config, images, details)
    set_aside_other_inputs(stage, context.run.set_aside)
    found = read_result(stage.checkpoints)
    if found is not None and (is_final(stage.checkpoints) or not job.kept):
        return found
    method = fine_tune(context, job, stage, images, show)
    if job.kept:
        write_final(stage.checkpoints, method.models)
    correct, best = _count_correct(method, images.held_out), None
    if job.whole and images.validation is not None:
        read_weights(best_weights(stage), method.models)
        best = _count_correct(method, images.held_out)
    total = int((images.held_out.labels >= 0).sum())
    tuned = Tuned(total, correct, best)
    write_result(stage.checkpoints, tuned)
    _forget_course(stage)
    return tuned


def _count_correct(method: Method, split: Split) -> int:
    """Counts the labelled images that the finished networks classify correctly."""
    encoder, head = method.models["encoder"], method.models["head"]
    known, correct = labelled_rows(split), 0
    # Not compiled: tracing anew for each of many networks would take longer than it saves.
    for start in range(0, len(known), _BATCH):
        rows = known[start : start + _BATCH]
        view = to_unit_range(tf.constant(np.asarray(split.images[rows])))
        logits = head(encoder(view, training=False), training=False)
        correct += int((tf.argmax(logits, axis=1).numpy() == split.labels[rows]).sum())
    return correct


def _forget_course(stage: Stage) -> None:
    """Removes what only a resume needs."""
    shutil.rmtree(best_weights(stage), ignore_errors=True)
    remove_checkpoints(stage.checkpoints)
