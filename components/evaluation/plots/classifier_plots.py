"""Plots of a classifier: its training loss, reliability diagrams and confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.run_plots import (
    COLOURS,
    CURVE_COLOUR,
    new_figure,
    plain,
    write_png,
)
from twofold.components.evaluation.probes.calibration import Reliability

# As many classes as have room for a name, and for a number in each cell.
NAMED_CLASSES = 40
NUMBERED_CLASSES = 12


def plot_reliability(measured: Reliability, path: Path, title: str) -> None:
    """Draw accuracy over confidence, and below how many images have which confidence.

    Args:
        measured: what to draw.
        path: of the PNG file; folders that lack are made.
        title: above all.

    """
    figure = new_figure(width=4.6, height=5.4)
    figure.suptitle(title, fontsize=12)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.linspace(0, 1, len(measured.counts) + 1)
    filled = measured.counts > 0
    width = edges[1] - edges[0]
    upper.bar(
        edges[:-1][filled],
        measured.accuracies[filled],
        width,
        align="edge",
        color=CURVE_COLOUR,
        alpha=0.35,
        edgecolor=CURVE_COLOUR,
        linewidth=0.8,
        label="accuracy",
    )
    upper.plot([0, 1], [0, 1], color="0.45", linewidth=1, linestyle="--", label="as often as said")
    upper.plot(
        measured.confidences[filled],
        measured.accuracies[filled],
        color="#D55E00",
        linewidth=0,
        marker="o",
        markersize=4,
        label="mean of a bin",
    )
    upper.set_title(f"calibration error {measured.ece:.2%}", fontsize=10, loc="right")
    upper.set_ylabel("accuracy")
    upper.set_ylim(0, 1.02)
    upper.legend(loc="upper left", fontsize=9, frameon=False)
    lower.bar(edges[:-1], measured.counts / measured.counts.sum(), width, align="edge", color="0.6")
    lower.set_ylabel("share of images")
    lower.set_xlabel("confidence: probability of the predicted class")
    lower.set_xlim(0, 1)
    for panel in (upper, lower):
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=9)
    write_png(figure, path)


def plot_confusion(
    matrix: NDArray[np.int64], class_names: Sequence[str], path: Path, title: str
) -> None:
    """Draw the share of each class (row) that is taken for each class (column).

    Args:
        matrix: int64 [K, K] of `confusion_matrix`.
        class_names: K names, written where there is room for them.
        path: of the PNG file; folders that lack are made.
        title: above all.

    Raises:
        EvaluationError: if matrix and names do not fit.

    """
    classes = len(class_names)
    if matrix.shape != (classes, classes):
        raise EvaluationError(
            f"A confusion matrix of {classes} classes is [{classes}, {classes}], but its shape is "
            f"{list(matrix.shape)}."
        )
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    named, numbered = classes <= NAMED_CLASSES, classes <= NUMBERED_CLASSES
    names = [_short(name) for name in class_names] if named else []
    room = 0.085 * max((len(name) for name in names), default=4)
    side = min(max(2.6, 0.46 * classes), 8.0)
    figure = new_figure(width=side + room + 1.5, height=side + room + 0.9)
    figure.suptitle(title, fontsize=12)
    panel = figure.subplots()
    heat_map = panel.imshow(
        shares, cmap=colormaps["Blues"], vmin=0, vmax=1, interpolation="nearest"
    )
    panel.set_xlabel("predicted class")
    panel.set_ylabel("class")
    if named:
        size = 9 if classes <= 20 else 7
        panel.set_xticks(range(classes), names, rotation=90, fontsize=size)
        panel.set_yticks(range(classes), names, fontsize=size)
        panel.tick_params(length=0)
    if numbered:
        for i, j in np.ndindex(classes, classes):
            # Rounded down, so that only what is whole reads as 100 %.
            text = f"{np.floor(shares[i, j] * 1000) / 10:.1f}" if matrix[i, j] else ""
            colour = "white" if shares[i, j] > 0.6 else "black"
            panel.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    figure.colorbar(heat_map, ax=panel, label="share of the class", shrink=0.85, pad=0.02)
    write_png(figure, path)


def _short(name: str) -> str:
    """Cut a long name, and keep a dollar sign from being read as a formula."""
    return plain(name if len(name) <= 24 else f"{name[:23]}…")


def plot_probe_losses(losses: Mapping[str, Sequence[float]], path: Path, title: str) -> None:
    """Draw the training loss of linear classifiers on frozen features, epoch by epoch.

    Args:
        losses: mean cross-entropy of an epoch, in nats an image, by encoder; under an empty name
            where there is one encoder.
        path: of the PNG file; folders that lack are made.
        title: above all.

    Raises:
        EvaluationError: if there is nothing to draw.

    """
    if not losses or not all(losses.values()):
        raise EvaluationError("A figure of losses needs at least one epoch, but there is none.")
    _plot_epochs(losses, path, title, "training loss, nats an image")


def plot_probe_accuracies(accuracies: Sequence[float], path: Path, title: str) -> None:
    """Draw the held-out accuracy of a linear classifier on frozen features, epoch by epoch.

    Args:
        accuracies: shares in [0, 1], after each epoch.
        path: of the PNG file; folders that lack are made.
        title: above all.

    Raises:
        EvaluationError: if there is nothing to draw.

    """
    if not accuracies:
        raise EvaluationError("A figure of accuracies needs at least one epoch, but there is none.")
    _plot_epochs({"": [100 * one for one in accuracies]}, path, title, "held-out accuracy, %")


def _plot_epochs(
    lines: Mapping[str, Sequence[float]], path: Path, title: str, measure: str
) -> None:
    figure = new_figure(width=6.6 if len(lines) > 1 else 5.2, height=3.6)
    panel = figure.add_subplot()
    panel.set_title(plain(title), fontsize=12)
    colours = cycle(COLOURS)
    for (name, values), colour in zip(lines.items(), colours, strict=False):
        epochs = range(1, len(values) + 1)
        marker = "o" if len(values) == 1 else None
        panel.plot(epochs, values, color=colour, linewidth=1.4, marker=marker, label=plain(name))
    panel.set_xlabel("epoch of the classifier")
    panel.set_ylabel(measure)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        figure.legend(loc="outside right upper", fontsize=9, frameon=False)
    write_png(figure, path)
