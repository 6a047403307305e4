"""Evaluate step: from an encoder to metrics and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components import files, keyed_random
from twofold.components.data.reading.split import Split
from twofold.components.evaluation.geometry.alignment_uniformity import alignment, uniformity
from twofold.components.evaluation.geometry.collapse import dead_units, effective_rank, feature_std
from twofold.components.evaluation.geometry.similarity_matrix import sample_rows
from twofold.components.evaluation.probes.linear_probe import LinearProbe
from twofold.components.transforms.policies import build_view
from twofold.components.transforms.views import make_views
from twofold.pipeline.models.build import rebuild_encoder
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks.data_checks import held_out_split
from twofold.pipeline.steps.measures.class_measures import measure_classes
from twofold.pipeline.steps.measures.embedded_images import embed_splits
from twofold.pipeline.steps.measures.fine_tuning_measure import check_finetune, measure_finetuning
from twofold.pipeline.steps.measures.robustness_measure import Fitted, measure, plan_robustness
from twofold.pipeline.steps.plots.evaluation_board import show_evaluation
from twofold.pipeline.steps.plots.similarity_plot import plot_similarity
from twofold.pipeline.training import prepared_images as step_images
from twofold.pipeline.training.determinism import set_determinism

_ALIGNED_IMAGES = 1000
_VIEWS_AT_ONCE = 250
_PROBE_FILE = "linear_probe.npz"


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Embeds the images once, and takes every measure from that."""
    set_determinism(context.config.training.deterministic)
    manifest = context.manifest()
    held_out_name = held_out_split(manifest)
    plan = plan_robustness(context, manifest)
    check_finetune(context, manifest)
    encoder = rebuild_encoder(context.run.path / "checkpoints")
    training = step_images.load_training_images(context, manifest)
    splits = {"train": training.together}
    # Settings are chosen on it, where the data set has one beside the held-out split.
    for name in dict.fromkeys(["validation", held_out_name]):
        if name in manifest.splits:
            splits[name] = step_images.load(context, manifest, name)
    train, held_out = splits["train"], splits[held_out_name]
    store, parts = embed_splits(context, encoder, training, splits)
    metrics = _measure_all(context, encoder, store.read(held_out_name), held_out)
    probe = None
    if len(train.class_names) > 1:
        probe, measured = measure_classes(context, details, store, parts, splits, held_out_name)
        _write_probe(store.folder, probe)
        k = details["chosen"]["neighbours"]
        fitted = Fitted(probe, store.read("train"), train.labels, neighbours=k)
        metrics |= measured | measure(plan, context, details, encoder, fitted, held_out)
        metrics |= measure_finetuning(context, details, store, splits, held_out_name)
    details["held_out_split"] = held_out_name
    details["images"] = {name: len(split.images) for name, split in splits.items()}
    if len(train.class_names) > 1 or held_out.latent_names:
        plot_similarity(context, store.read(held_out_name), held_out)
    show_evaluation(context, metrics, store.read(held_out_name), held_out, probe)
    return metrics


def _write_probe(folder: Path, probe: LinearProbe) -> None:
    with files.new_file(folder / _PROBE_FILE) as file:
        np.savez(file, weights=probe.weights, bias=probe.bias)


def _measure_all(
    context: Context, encoder: keras.Model, embeddings: np.ndarray, held_out: Split
) -> dict[str, float]:
    """Takes the measures that need no label."""
    config, seed = context.config.evaluation, context.config.seed
    metrics = {
        "embedding/feature_std": feature_std(embeddings),
        "embedding/effective_rank": effective_rank(embeddings),
        "embedding/dead_units": float(dead_units(embeddings)),
    }
    if "uniformity" in config.measures and len(embeddings) > 1:
        rows = sample_rows(len(embeddings), config.measured_images, seed)
        metrics["embedding/uniformity"] = uniformity(embeddings[rows])
    if "alignment" in config.measures:
        metrics["embedding/alignment"] = _align(context, encoder, held_out)
    return metrics


def _align(context: Context, encoder: keras.Model, held_out: Split) -> float:
    """Measures how far apart two views of an image lie, by the policies of training."""
    config = context.config
    first = build_view(config.views, config.seed)
    second = first if config.second_views is None else build_view(config.second_views, config.seed)
    rows = sample_rows(len(held_out.images), _ALIGNED_IMAGES, config.seed)
    features: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for start in range(0, len(rows), _VIEWS_AT_ONCE):
        part = rows[start : start + _VIEWS_AT_ONCE]
        keys = keyed_random.image_keys(
            config.seed, tf.constant(0, tf.int64), tf.constant(held_out.key_hashes[part])
        )
        images = tf.constant(np.asarray(held_out.images[part]))
        views = make_views((first, second), images, keys)
        for found, view in zip(features, tf.unstack(views, num=2), strict=True):
            found.append(tf.cast(encoder(view, training=False), tf.float32).numpy())
    return alignment(*map(np.concatenate, features))
