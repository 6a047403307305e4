"""Corruption robustness: accuracy on corrupted images, corruption errors and their means.

Hendrycks & Dietterich (2019), "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations": nothing is trained on corrupted images; a classifier that was fitted on clean ones
classifies held-out images of every corruption and severity.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import keras
import numpy as np

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.embedding import build_embedding
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    MAIN,
    corrupt,
    find_corruption,
)

# From features float32 [N, D] to class numbers int [N].
Predict = Callable[[np.ndarray], np.ndarray]
# From a corruption and a severity to batches of images uint8 [B, H, W, C] and labels int [B].
CorruptedBatches = Callable[[str, int], Iterable[tuple[np.ndarray, np.ndarray]]]

_Item = TypeVar("_Item")


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier of images.

    Attributes:
        encoder: float32 [B, H, W, C] in [0, 1] to features [B, D].
        predict: from these to class numbers.

    """

    encoder: keras.Model
    predict: Predict


@dataclasses.dataclass(frozen=True)
class Robustness:
    """Accuracies in [0, 1] on clean and on corrupted images.

    Attributes:
        clean: on the images as they are.
        accuracies: by corruption and severity; every corruption has the same severities.

    """

    clean: float
    accuracies: Mapping[tuple[str, int], float]

    @property
    def corruptions(self) -> tuple[str, ...]:
        """What was measured, in the order of `CORRUPTIONS`."""
        measured = {name for name, _ in self.accuracies}
        return tuple(name for name in CORRUPTIONS if name in measured)

    @property
    def severities(self) -> tuple[int, ...]:
        """The severities, rising."""
        return tuple(sorted({severity for _, severity in self.accuracies}))

    def mean(self, corruptions: Sequence[str], severities: Sequence[int] | None = None) -> float:
        """The mean accuracy over corruptions and severities, all severities unless given."""
        chosen = self.severities if severities is None else severities
        cells = [self.accuracies[name, severity] for name in corruptions for severity in chosen]
        return float(np.mean(cells))

    def metrics(self) -> dict[str, float]:
        """All metrics by name.

        ``robustness/<corruption>/<severity>/accuracy``, ``robustness/<corruption>/accuracy`` (mean
        over severities), ``robustness/clean_accuracy``; over those of the 15 main corruptions that
        were measured ``robustness/mean_accuracy`` and ``robustness/mean_accuracy_severity_<n>``;
        over all, where extra ones were measured, too, ``robustness/mean_accuracy_all``.
        ``robustness/mce_unnormalised`` is the mean error over the main ones, and
        ``robustness/relative_mce_unnormalised`` how far it is above the error on clean images.
        """
        metrics = {"robustness/clean_accuracy": self.clean}
        for name in self.corruptions:
            metrics[f"robustness/{name}/accuracy"] = self.mean([name])
            for severity in self.severities:
                metrics[_cell(name, severity)] = self.accuracies[name, severity]
        main = [name for name in self.corruptions if name in MAIN]
        if main:
            mean = self.mean(main)
            metrics["robustness/mean_accuracy"] = mean
            for severity in self.severities:
                metrics[f"robustness/mean_accuracy_severity_{severity}"] = self.mean(
                    main, [severity]
                )
            metrics["robustness/mce_unnormalised"] = 1 - mean
            metrics["robustness/relative_mce_unnormalised"] = self.clean - mean
        if len(main) < len(self.corruptions):
            metrics["robustness/mean_accuracy_all"] = self.mean(self.corruptions)
        return metrics


def measure_robustness(
    classifiers: Mapping[str, Classifier],
    images: np.ndarray,
    labels: np.ndarray,
    corrupted: CorruptedBatches,
    *,
    corruptions: Sequence[str],
    severities: Sequence[int],
    rows: np.ndarray | None = None,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Robustness]:
    """Measures classifiers on clean and on corrupted images, which are corrupted once for all.

    No more than the batches of the moment and the features of one corruption and severity are held
    in memory. While a batch is embedded, the next one is corrupted.

    Args:
        classifiers: by name, at least one.
        images: uint8 [N, H, W, C], clean, may be memory-mapped.
        labels: int [N], none of those looked at missing.
        corrupted: gives corrupted images with their labels; see `corrupt_batches`.
        corruptions: keys of `CORRUPTIONS`, at least one.
        severities: of 1 to 5, at least one.
        rows: int [n], which of the clean images to look at; None for all.
        batch_size: clean images at a time.
        progress: called with the number of images done, clean ones included.

    Returns:
        What was measured of each classifier, by the same names.

    Raises:
        EvaluationError: if there is nothing to measure.
        ValueError: if a corruption or a severity is unknown.

    """
    for name in corruptions:
        for severity in severities:
            find_corruption(name, severity)
    rows = np.arange(len(labels)) if rows is None else rows
    counts = (len(classifiers), len(rows), len(corruptions), len(severities))
    if not all(counts):
        raise EvaluationError(
            "Robustness needs classifiers, labelled images, corruptions and severities, but there "
            "are {}, {}, {} and {}.".format(*counts)
        )
    embed_batch = {
        name: build_embedding(classifier.encoder, images.shape[1:])
        for name, classifier in classifiers.items()
    }
    done = 0

    def accuracy(batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        nonlocal done
        features: dict[str, list[np.ndarray]] = {name: [] for name in classifiers}
        labels_seen = []
        for batch, its_labels in _one_ahead(batches):
            for name, embed in embed_batch.items():
                features[name].append(embed(batch))
            labels_seen.append(its_labels)
            done += len(batch)
            if progress is not None:
                progress(done)
        targets = np.concatenate(labels_seen)
        return {
            name: float((classifier.predict(np.concatenate(features[name])) == targets).mean())
            for name, classifier in classifiers.items()
        }

    clean = accuracy((images[some], labels[some]) for some in _parts(rows, batch_size))
    cells = {
        (name, severity): accuracy(corrupted(name, severity))
        for name in corruptions
        for severity in severities
    }
    return {
        classifier: Robustness(
            clean[classifier], {cell: found[classifier] for cell, found in cells.items()}
        )
        for classifier in classifiers
    }


def corrupt_batches(
    images: np.ndarray,
    labels: np.ndarray,
    key_hashes: np.ndarray,
    *,
    seed: int,
    rows: np.ndarray | None = None,
    batch_size: int = 256,
) -> CorruptedBatches:
    """Corrupts images on demand; see `corrupt`.

    Args:
        images: uint8 [N, H, W, C], may be memory-mapped.
        labels: int [N].
        key_hashes: int64 [N], what each image's randomness belongs to.
        seed: of the randomness.
        rows: int [n], which images; None for all.
        batch_size: images at a time; the results do not depend on it.

    """
    rows = np.arange(len(labels)) if rows is None else rows

    def corrupted(name: str, severity: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for some in _parts(rows, batch_size):
            spoilt = corrupt(images[some], name, severity, seed=seed, key_hashes=key_hashes[some])
            yield spoilt, labels[some]

    return corrupted


def relative_metrics(measured: Robustness, baseline: Robustness) -> dict[str, float]:
    """Gives the errors as multiples of a baseline's (section 4.1 of the paper).

    CE of a corruption is the sum of the errors over severities, divided by the baseline's; relative
    CE the same of the errors less the error on clean images. ``robustness/<corruption>/ce``,
    ``robustness/mce`` and ``robustness/relative_mce`` are those and the means over the main ones.
    Where the baseline makes no error, or loses nothing to a corruption, there is nothing to divide
    by: that CE and the means that it would be part of are left out.

    Args:
        measured: of the encoder.
        baseline: of another one, for at least the same corruptions and severities.

    """
    metrics: dict[str, float] = {}
    relative: dict[str, float] = {}
    for name in measured.corruptions:
        ours, theirs = (
            np.array([1 - one.accuracies[name, severity] for severity in measured.severities])
            for one in (measured, baseline)
        )
        if theirs.sum() > 0:
            metrics[f"robustness/{name}/ce"] = float(ours.sum() / theirs.sum())
        lost = (theirs - (1 - baseline.clean)).sum()
        if lost > 0:
            relative[name] = float((ours - (1 - measured.clean)).sum() / lost)
    main = [name for name in measured.corruptions if name in MAIN]
    errors = [
        metrics[f"robustness/{name}/ce"] for name in main if f"robustness/{name}/ce" in metrics
    ]
    if main and len(errors) == len(main):
        metrics["robustness/mce"] = float(np.mean(errors))
    if main and all(name in relative for name in main):
        metrics["robustness/relative_mce"] = float(np.mean([relative[name] for name in main]))
    return metrics


def read_robustness(
    metrics: Mapping[str, float], corruptions: Sequence[str], severities: Sequence[int]
) -> Robustness:
    """Reads what `Robustness.metrics` gave.

    Raises:
        EvaluationError: if a requested corruption or severity is missing.

    """
    needed = [(name, severity) for name in corruptions for severity in severities]
    missing = [_cell(*cell) for cell in needed if _cell(*cell) not in metrics]
    if "robustness/clean_accuracy" not in metrics:
        missing = ["robustness/clean_accuracy", *missing]
    if missing:
        raise EvaluationError(
            f"A baseline needs the accuracy on clean images and on all {len(needed)} kinds of "
            f"corrupted ones, but {len(missing)} are missing, the first {missing[0]}."
        )
    cells = {cell: metrics[_cell(*cell)] for cell in needed}
    return Robustness(metrics["robustness/clean_accuracy"], cells)


def _cell(name: str, severity: int) -> str:
    return f"robustness/{name}/{severity}/accuracy"


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _one_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """Gives the items in their order, each while the next one is made in another thread."""
    ended = object()
    iterator = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, iterator, ended)
        while (item := coming.result()) is not ended:
            coming = thread.submit(next, iterator, ended)
            yield item  # type: ignore[misc]
