"""Measures with class labels: probes, kNN, clusters, retrieval."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.reading.split import Split
from twofold.components.errors import DataError
from twofold.components.evaluation.confidence_intervals import accuracy_metrics
from twofold.components.evaluation.embedding_store import EmbeddingStore
from twofold.components.evaluation.geometry.clustering import cluster, clustering_agreement
from twofold.components.evaluation.geometry.retrieval import retrieval
from twofold.components.evaluation.geometry.similarity_matrix import sample_rows
from twofold.components.evaluation.plots.classifier_plots import (
    plot_confusion,
    plot_probe_accuracies,
    plot_probe_losses,
    plot_reliability,
)
from twofold.components.evaluation.probes.calibration import reliability
from twofold.components.evaluation.probes.confusion_matrix import (
    confusion_matrix,
    most_confused,
)
from twofold.components.evaluation.probes.hyperparameters import best_setting, validation_rows
from twofold.components.evaluation.probes.knn import knn_votes
from twofold.components.evaluation.probes.label_fractions import (
    MeanInterval,
    t_interval,
)
from twofold.components.evaluation.probes.linear_probe import (
    LinearProbe,
    choose_regularisation,
    fit_logistic_regression,
)
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.measures.embedded_images import array_name
from twofold.pipeline.steps.measures.recipe_probe import train_recipe_probe

_VALIDATION = "validation"
_MATRIX_IN_RECORD = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Images with a label.

    Attributes:
        embeddings: float32 [N, D].
        labels: int32 [N].
        keys: text [N].

    """

    embeddings: np.ndarray
    labels: np.ndarray
    keys: np.ndarray

    def only(self, rows: np.ndarray) -> Labelled:
        """Those that a mask marks, or rows."""
        return Labelled(self.embeddings[rows], self.labels[rows], self.keys[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """The labelled images of a run, as one part embeds them; `validation` where it is a split."""

    train: Labelled
    held_out: Labelled
    validation: Labelled | None

    def to_choose(self, seed: int) -> tuple[Labelled, Labelled] | None:
        """Gives what to fit on and what to choose settings on; None where there is too little."""
        if self.validation is not None:
            return self.train, self.validation
        return part_to_choose(self.train, seed)


def part_to_choose(train: Labelled, seed: int) -> tuple[Labelled, Labelled] | None:
    """Parts training images into some to fit on and some to choose settings on; None: too few."""
    marked = validation_rows(train.keys, train.labels, seed=seed)
    if not marked.any() or len(np.unique(train.labels[~marked])) < 2:
        return None
    return train.only(~marked), train.only(marked)


def gather(
    store: EmbeddingStore, splits: dict[str, Split], held_out_name: str, part: str = ""
) -> Images:
    """Reads the labelled images that a part has embedded.

    Raises:
        DataError: if no held-out image has a label.

    """
    found = {}
    for name, split in splits.items():
        embeddings, known = store.read(array_name(name, part)), split.labels >= 0
        if known.all():
            found[name] = Labelled(embeddings, split.labels, split.keys)
        elif known.any():
            found[name] = Labelled(embeddings, split.labels, split.keys).only(known)
    if held_out_name not in found:
        raise DataError("the held-out split has no labels, though the training images have classes")
    validation = found.get(_VALIDATION) if held_out_name != _VALIDATION else None
    return Images(found["train"], found[held_out_name], validation)


def measure_classes(
    context: Context,
    details: dict[str, Any],
    store: EmbeddingStore,
    parts: tuple[str, ...],
    splits: dict[str, Split],
    held_out_name: str,
) -> tuple[LinearProbe, dict[str, float]]:
    """Takes the measures that need labels, and leaves their figures.

    Args:
        context: of the run.
        details: takes the settings that were chosen, and what is recorded beside the metrics.
        store: the embeddings.
        parts: the baselines in it, and what else a probe reads.
        splits: what was embedded.
        held_out_name: the split to measure on.

    Returns:
        The linear probe of the encoder, and metrics by name.

    """
    config, names = context.config.evaluation, splits["train"].class_names
    images = gather(store, splits, held_out_name)
    choice = images.to_choose(context.config.seed)
    chosen: dict[str, Any] = {
        "on": None if choice is None else "train" if images.validation is None else _VALIDATION,
        "images": 0 if choice is None else len(choice[1].labels),
    }
    details["chosen"] = chosen
    baselines = [one for one in parts if one in config.baselines]
    with context.progress("measure", 5 + len(baselines), "measures") as show:
        show(0)
        probe, chosen["regularisation"] = _probe(context, images.train, choice, len(names))
        if not probe.converged:
            context.say("the logistic regression stopped before it converged")
        metrics = _accuracies("linear_probe", probe, images)
        show(1)
        read = images
        if config.probe_reads == "projections":
            read = gather(store, splits, held_out_name, "projector")
        metrics |= _recipe_probe(context, details, read, len(names))
        show(2)
        chosen["neighbours"], right = _neighbours(context, images, choice, len(names))
        metrics |= accuracy_metrics("knn/test_accuracy", right, len(images.held_out.labels))
        show(3)
        metrics |= _structure(context, images.held_out)
        show(4)
        metrics |= _mistakes(context, details, probe, images.held_out, names)
        show(5)
        for number, part in enumerate(baselines, start=6):
            baseline = gather(store, splits, held_out_name, part)
            to_choose = baseline.to_choose(context.config.seed)
            fitted, strength = _probe(context, baseline.train, to_choose, len(names))
            chosen[f"regularisation_{part}"] = strength
            metrics |= _accuracies(f"linear_probe_{part}", fitted, baseline)
            show(number)
    with_all = metrics["linear_probe/test_accuracy"]
    metrics |= _label_fractions(context, splits["train"], images, with_all)
    return probe, metrics


def _probe(
    context: Context, train: Labelled, choice: tuple[Labelled, Labelled] | None, classes: int
) -> tuple[LinearProbe, float]:
    """Fits the logistic regression on all training images, with the strength chosen on a part."""
    config = context.config.evaluation
    strength, tries = config.regularisation, (config.regularisation, *config.regularisation_sweep)
    if choice is not None and len(set(tries)) > 1:
        fit_on, choose_on = choice
        strength = choose_regularisation(
            fit_on.embeddings,
            fit_on.labels,
            choose_on.embeddings,
            choose_on.labels,
            classes=classes,
            strengths=tries,
        )
    probe = fit_logistic_regression(
        train.embeddings, train.labels, classes=classes, regularisation=strength
    )
    return probe, strength


def _recipe_probe(
    context: Context, details: dict[str, Any], images: Images, classes: int
) -> dict[str, float]:
    """Trains the recipe's probe, and leaves its curves."""
    config, figures = context.config.evaluation, context.run.path / "figures"
    probe = train_recipe_probe(
        config,
        images.train.embeddings,
        images.train.labels,
        classes=classes,
        epochs=config.probe_epochs,
        held_out=(images.held_out.embeddings, images.held_out.labels),
        seed=context.config.seed,
    )
    details["recipe_probe"] = {
        "loss": list(probe.losses),
        "test_accuracy": list(probe.accuracies),
    }
    plot_probe_losses(
        {"": probe.losses},
        figures / "probe_loss.png",
        f"Training loss of the recipe's probe on frozen {config.probe_reads}",
    )
    plot_probe_accuracies(
        probe.accuracies,
        figures / "probe_accuracy.png",
        f"Held-out accuracy of the recipe's probe on frozen {config.probe_reads}",
    )
    return _accuracies("recipe_probe", probe, images)


def _accuracies(name: str, probe: LinearProbe, images: Images) -> dict[str, float]:
    train, held_out = images.train, images.held_out
    total = len(held_out.labels)
    right = round(probe.accuracy(held_out.embeddings, held_out.labels) * total)
    return {
        f"{name}/train_accuracy": probe.accuracy(train.embeddings, train.labels),
        **accuracy_metrics(f"{name}/test_accuracy", right, total),
    }


def _neighbours(
    context: Context, images: Images, choice: tuple[Labelled, Labelled] | None, classes: int
) -> tuple[int, int]:
    """Chooses k on a part of the training images; how many held-out images it gets right."""
    config = context.config.evaluation

    def count_right(train: Labelled, asked: Labelled, ks: list[int]) -> dict[int, int]:
        votes = knn_votes(
            train.embeddings,
            train.labels,
            asked.embeddings,
            classes=classes,
            ks=ks,
            temperature=config.neighbour_temperature,
        )
        right = [int((one.argmax(axis=1) == asked.labels).sum()) for one in votes]
        return dict(zip(ks, right, strict=True))

    best, tries = config.neighbours, sorted({config.neighbours, *config.neighbour_sweep})
    if choice is not None and len(tries) > 1:
        scores = count_right(*choice, tries)
        best = best_setting({k: (score,) for k, score in scores.items()})
    return best, count_right(images.train, images.held_out, [best])[best]


def _structure(context: Context, held_out: Labelled) -> dict[str, float]:
    """Takes the measures of how images of a class lie, with nothing fitted to labels."""
    config, seed = context.config.evaluation, context.config.seed
    if len(held_out.labels) > config.measured_images:
        held_out = held_out.only(sample_rows(len(held_out.labels), config.measured_images, seed))
    metrics = {}
    if "clustering" in config.measures:
        present = len(np.unique(held_out.labels))
        found = cluster(held_out.embeddings, present, seed=seed)
        for name, value in clustering_agreement(held_out.labels, found).items():
            metrics[f"clustering/{name}"] = value
    if "retrieval" in config.measures:
        for name, value in retrieval(held_out.embeddings, held_out.labels).items():
            metrics[f"retrieval/{name}"] = value
    return metrics


def _mistakes(
    context: Context,
    details: dict[str, Any],
    probe: LinearProbe,
    held_out: Labelled,
    names: tuple[str, ...],
) -> dict[str, float]:
    measures, figures = context.config.evaluation.measures, context.run.path / "figures"
    probabilities = probe.probabilities(held_out.embeddings)
    metrics = {}
    if "calibration" in measures:
        measured = reliability(probabilities, held_out.labels)
        metrics["calibration/ece"] = measured.ece
        plot_reliability(
            measured, figures / "reliability.png", "Confidence of the linear probe, held out"
        )
    if "confusion" in measures:
        matrix = confusion_matrix(held_out.labels, probabilities.argmax(axis=1), len(names))
        plot_confusion(
            matrix, names, figures / "confusion.png", "Classes of the linear probe, held out"
        )
        details["confusion"] = {"most_frequent": most_confused(matrix, names)}
        if len(names) <= _MATRIX_IN_RECORD:
            details["confusion"] |= {"class_names": list(names), "matrix": matrix.tolist()}
    return metrics


def _label_fractions(
    context: Context, train: Split, images: Images, with_all: float
) -> dict[str, float]:
    """Fits probes on parts of the labels, the smaller within the larger, several times each."""
    config, first_seed = context.config.evaluation, context.config.data.label_seed
    known = train.labels >= 0
    measured: dict[float, MeanInterval] = {}
    metrics: dict[str, float] = {}
    fractions = sorted(set(config.label_fractions))
    total = len(fractions) * config.label_fraction_seeds
    if not total:
        return {}
    with context.progress("label fractions", total, "probes") as show:
        for fraction in fractions:
            accuracies = []
            for seed in range(first_seed, first_seed + config.label_fraction_seeds):
                kept = keep_labels(train, fraction, seed).labels >= 0
                subset = images.train.only(kept[known])
                # A probe on few labels chooses its strength by these few, too.
                choice = part_to_choose(subset, seed)
                probe, _ = _probe(context, subset, choice, len(train.class_names))
                accuracies.append(
                    probe.accuracy(images.held_out.embeddings, images.held_out.labels)
                )
                show(len(measured) * config.label_fraction_seeds + len(accuracies))
            measured[fraction] = t_interval(accuracies)
            name = f"label_fraction/{fraction:g}/test_accuracy"
            mean, low, high = measured[fraction]
            metrics |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return metrics
