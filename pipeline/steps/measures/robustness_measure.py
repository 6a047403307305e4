"""Robustness measure: accuracy on corrupted held-out images, a part of the evaluate step."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from twofold.components.data.reading.label_subset import sample_labelled
from twofold.components.data.reading.split import Split
from twofold.components.data.sources.source import Source
from twofold.components.data.store.manifest import Manifest
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import ConfigError, DataError, EvaluationError, UnfitSettingsError
from twofold.components.evaluation.plots.corruption_plots import plot_gain
from twofold.components.evaluation.probes.knn import knn_predict
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.evaluation.robustness.corruption_robustness import (
    Classifier,
    CorruptedBatches,
    Predict,
    Robustness,
    corrupt_batches,
    measure_robustness,
    read_robustness,
    relative_metrics,
)
from twofold.components.evaluation.robustness.published_corruptions import (
    open_published,
    published_batches,
)
from twofold.components.training.resuming.weights_files import read_final
from twofold.components.transforms.corruptions.common_corruptions import CORRUPTIONS, MAIN
from twofold.pipeline.config import EvaluationConfig, RunConfig
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.reuse.outputs import TEACHER
from twofold.pipeline.steps.robustness_baseline import read_baseline
from twofold.pipeline.training import prepared_images as step_images

# Who classifies the images, beside the teacher.
_OURS = "encoder"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What will be measured; all that could be wrong with it has been looked at.

    Attributes:
        corruptions: their names.
        severities: of each.
        baseline: of another run, or None.
        published: the published sets, or None where images are corrupted here.

    """

    corruptions: tuple[str, ...]
    severities: tuple[int, ...]
    baseline: Robustness | None
    published: Mapping[tuple[str, int], Source] | None


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What the training images taught.

    Attributes:
        probe: the logistic regression.
        embeddings: float32 [N, D], of the training images.
        labels: int [N], -1 where there is none.
        neighbours: k of kNN.

    """

    probe: LinearProbe
    embeddings: np.ndarray
    labels: np.ndarray
    neighbours: int


def plan_robustness(context: Context, manifest: Manifest) -> Plan | None:
    """Looks, before anything is computed, at what is to be measured; None where nothing is.

    Raises:
        UnfitSettingsError: if there are no classes.
        ConfigError: if the baseline was not measured likewise, or published images are missing.

    """
    config = context.config.evaluation
    if config.robustness == "off":
        return None
    if len(manifest.class_names) < 2:
        raise UnfitSettingsError(
            f"evaluation.robustness={config.robustness} needs images of at least two classes, and "
            f"{manifest.name} has {len(manifest.class_names)}"
        )
    return open_named(config)


def open_named(config: EvaluationConfig) -> Plan:
    """Opens the files that settings of a measure on corrupted images name.

    Raises:
        ConfigError: if the baseline was not measured likewise, or published images are missing.

    """
    names = MAIN if config.robustness == "main" else tuple(CORRUPTIONS)
    severities = tuple(sorted(config.corruption_severities))
    recorded, baseline, published = read_baseline(config), None, None
    if recorded is not None:
        try:
            baseline = read_robustness(recorded, names, severities)
        except EvaluationError as error:
            raise ConfigError(
                f"evaluation.robustness_baseline={config.robustness_baseline}: {error}"
            ) from None
    if config.corrupted_tfds is not None:
        try:
            published = open_published(config.corrupted_tfds, names, severities)
        except DataError as error:
            raise ConfigError(
                f"evaluation.corrupted_tfds={config.corrupted_tfds}: {error}"
            ) from None
    return Plan(names, severities, baseline, published)


def measure(
    plan: Plan | None,
    context: Context,
    details: dict[str, Any],
    encoder: keras.Model,
    fitted: Fitted,
    held_out: Split,
) -> dict[str, float]:
    """Measures as planned; nothing where nothing is planned.

    Where a student's own classifier is asked, so is its teacher's, about the same images:
    ``teacher/robustness/...`` are its metrics, ``robustness/gain_over_teacher`` is the difference
    of the mean accuracies, and ``figures/robustness_gain.png`` that of each.

    Args:
        plan: what to measure.
        context: of the run.
        details: takes what is recorded beside the metrics.
        encoder: the trained one.
        fitted: what classifies its features.
        held_out: the images to corrupt.

    Returns:
        Metrics by name.

    """
    if plan is None:
        return {}
    config = context.config.evaluation
    rows = sample_labelled(held_out, config.corruption_images)
    images, labels, per_set = held_out.images, held_out.labels, len(rows)
    corrupted: CorruptedBatches
    if plan.published is None:
        corrupted = corrupt_batches(
            images, labels, held_out.key_hashes, seed=config.corruption_seed, rows=rows
        )
    else:
        rule = step_images.decode_rule(context, context.manifest())
        corrupted = published_batches(
            plan.published, rule, held_out.class_names, count=config.corruption_images
        )
        most = max(source.info().items for source in plan.published.values())
        per_set = min(most, config.corruption_images or most)
    classes = len(held_out.class_names)
    asked = {_OURS: Classifier(encoder, _predict(context, encoder, fitted, classes))}
    if _has_teacher(context.config):
        asked[TEACHER] = _teacher(context, classes)
    total = len(rows) + len(plan.corruptions) * len(plan.severities) * per_set
    with context.progress("robustness", total, "images") as show:
        measured = measure_robustness(
            asked,
            images,
            labels,
            corrupted,
            corruptions=plan.corruptions,
            severities=plan.severities,
            rows=rows,
            progress=show,
        )
    details["robustness"] = {
        "images": per_set,
        "seed": config.corruption_seed,
        "classifier": config.robustness_classifier,
        "published_images": plan.published is not None,
    }
    ours, figures = measured[_OURS], context.run.path / "figures"
    compared = {} if plan.baseline is None else relative_metrics(ours, plan.baseline)
    if plan.baseline is not None and "robustness/mce" not in compared:
        context.say("robustness: the baseline makes no error somewhere, so there is no mCE")
    if TEACHER in measured:
        compared |= _against_teacher(ours, measured[TEACHER], figures)
    return ours.metrics() | compared


def _has_teacher(config: RunConfig) -> bool:
    own = config.evaluation.robustness_classifier == "classifier"
    return own and config.method.teacher_stage is not None


def _teacher(context: Context, classes: int) -> Classifier:
    folder = context.run.path / TEACHER
    encoder = rebuild_encoder(folder)
    return Classifier(encoder, _own_classifier(folder, encoder, classes))


def _against_teacher(student: Robustness, teacher: Robustness, figures: Path) -> dict[str, float]:
    plot_gain(
        student,
        teacher,
        figures / "robustness_gain.png",
        "Accuracy on corrupted images, student less teacher",
    )
    theirs = teacher.metrics()
    gain = student.metrics()["robustness/mean_accuracy"] - theirs["robustness/mean_accuracy"]
    return {
        **{f"{TEACHER}/{name}": value for name, value in theirs.items()},
        "robustness/gain_over_teacher": gain,
    }


def _predict(context: Context, encoder: keras.Model, fitted: Fitted, classes: int) -> Predict:
    config = context.config.evaluation
    if config.robustness_classifier == "linear_probe":
        return lambda features: fitted.probe.logits(features).argmax(axis=1)
    if config.robustness_classifier == "knn":
        known = fitted.labels >= 0
        vote = functools.partial(
            knn_predict,
            fitted.embeddings[known],
            fitted.labels[known],
            classes=classes,
            k=fitted.neighbours,
            temperature=config.neighbour_temperature,
        )
        return lambda features: vote(features).argmax(axis=1)
    return _own_classifier(context.run.path / "checkpoints", encoder, classes)


def _own_classifier(checkpoints: Path, encoder: keras.Model, classes: int) -> Predict:
    head = build_linear_head(encoder.output_shape[-1], classes, seed=0)
    read_final(checkpoints, {"head": head})
    return lambda features: head(features, training=False).numpy().argmax(axis=1)
