"""An encoder to figures and pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from components.data.errors import DataError
from components.data.split import Split
from components.evaluation.collapse import effective_rank, feature_std
from components.evaluation.confidence import binomial_interval
from components.evaluation.embed import embed
from components.evaluation.figures import draw_rsm
from components.evaluation.knn import knn_accuracy
from components.evaluation.linear import LinearProbe, fit_logistic_regression, fit_recipe_probe
from components.evaluation.rsm import sample_rows, similarity_matrix, sort_order
from pipeline.artifacts import publish_directory
from pipeline.build import rebuild_encoder
from pipeline.steps import images as step_images
from pipeline.steps.checks import held_out_split
from pipeline.steps.context import Context


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Embeds the training and held-out images once, and takes every measure from that."""
    manifest = context.manifest()
    held_out_name = held_out_split(manifest)
    encoder = rebuild_encoder(context.run.path / "checkpoints")
    splits = {
        "train": step_images.load_training_images(context, manifest).together,
        held_out_name: step_images.load(context, manifest, held_out_name),
    }
    embeddings = {}
    with publish_directory(context.run.path / "embeddings") as folder:
        total = sum(len(split.images) for split in splits.values())
        with context.progress("evaluate", total, "images") as show:
            done = 0
            for name, split in splits.items():
                embeddings[name] = embed(
                    encoder, split.images, progress=functools.partial(_add, show, done)
                )
                done += len(split.images)
                np.save(folder / f"{name}.npy", embeddings[name])
        probe_metrics: dict[str, float] = {}
        train, held_out = splits["train"], splits[held_out_name]
        if len(train.class_names) > 1:
            probe, probe_metrics = _measure_classes(
                context, embeddings["train"], train, embeddings[held_out_name], held_out
            )
            np.savez(folder / "linear_probe.npz", weights=probe.weights, bias=probe.bias)
    details["held_out_split"] = held_out_name
    details["images"] = {name: len(split.images) for name, split in splits.items()}
    if len(train.class_names) > 1 or held_out.latent_names:
        _picture_rsm(context, embeddings[held_out_name], held_out)
    return probe_metrics | {
        "embedding/feature_std": feature_std(embeddings[held_out_name]),
        "embedding/effective_rank": effective_rank(embeddings[held_out_name]),
    }


def _add(show: Callable[[int], None], before: int, done: int) -> None:
    show(before + done)


def _measure_classes(
    context: Context,
    train_embeddings: np.ndarray,
    train: Split,
    test_embeddings: np.ndarray,
    test: Split,
) -> tuple[LinearProbe, dict[str, float]]:
    config, classes = context.config.evaluation, len(train.class_names)
    labelled = train.labels >= 0
    train_embeddings, train_labels = train_embeddings[labelled], train.labels[labelled]
    known = test.labels >= 0
    test_embeddings, test_labels = test_embeddings[known], test.labels[known]
    if not len(test_labels):
        raise DataError("the held-out split has no labels, though the training images have classes")
    probe = fit_logistic_regression(
        train_embeddings, train_labels, classes=classes, regularisation=config.regularisation
    )
    if not probe.converged:
        context.say("the logistic regression stopped before it converged")
    recipe_probe = fit_recipe_probe(
        train_embeddings,
        train_labels,
        classes=classes,
        epochs=config.probe_epochs,
        batch_size=config.probe_batch_size,
        learning_rate=config.probe_learning_rate,
        schedule_epochs=config.probe_schedule_epochs,
        seed=context.config.seed,
    )
    metrics: dict[str, float] = {}
    for name, one in (("linear_probe", probe), ("recipe_probe", recipe_probe)):
        accuracy = one.accuracy(test_embeddings, test_labels)
        low, high = binomial_interval(round(accuracy * len(test_labels)), len(test_labels))
        metrics |= {
            f"{name}/train_accuracy": one.accuracy(train_embeddings, train_labels),
            f"{name}/test_accuracy": accuracy,
            f"{name}/test_accuracy_low": low,
            f"{name}/test_accuracy_high": high,
        }
    metrics["knn/test_accuracy"] = knn_accuracy(
        train_embeddings,
        train_labels,
        test_embeddings,
        test_labels,
        classes=classes,
        k=config.neighbours,
        temperature=config.neighbour_temperature,
    )
    return probe, metrics


def _picture_rsm(context: Context, embeddings: np.ndarray, split: Split) -> None:
    config = context.config.evaluation
    by_class = config.rsm_latent is None and len(split.class_names) > 1
    latent = "class" if by_class else config.rsm_latent or split.latent_names[0]
    # Images without a class have no place among the classes.
    usable = np.flatnonzero(split.labels >= 0) if by_class else np.arange(len(embeddings))
    rows = usable[sample_rows(len(usable), config.rsm_images, context.config.seed)]
    columns = {name: split.latents[rows, index] for index, name in enumerate(split.latent_names)}
    values = split.labels[rows] if by_class else columns.pop(latent)
    order = sort_order(values, *columns.values())
    draw_rsm(
        similarity_matrix(embeddings[rows], order),
        values[order],
        latent,
        f"Similarity of {len(rows)} held-out images, sorted by {latent}",
        context.run.path / "figures" / "rsm.png",
        split.class_names if by_class else None,
    )
