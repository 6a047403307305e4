"""Confusion matrix of a classifier, and the pairs of classes it confuses most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.input_checks import check_labels
from twofold.components.evaluation.plots.run_plots import new_figure, write_png

# As many classes as have room for a name, and for a number in each cell.
NAMED_CLASSES = 40
NUMBERED_CLASSES = 12


def confusion_matrix(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Count images by class and predicted class.

    Args:
        labels: int [N] in [0, classes).
        predicted: int [N] in [0, classes).
        classes: K.

    Returns:
        int64 [K, K]: entry (i, j) counts images of class i that were taken for class j.

    Raises:
        EvaluationError: if labels or predictions cannot be used.

    """
    check_labels(labels, len(labels), classes)
    check_labels(predicted, len(labels), classes, "predicted")
    cells = labels.astype(np.int64) * classes + predicted
    counted: NDArray[np.int64] = np.bincount(cells, minlength=classes**2)
    return counted.reshape(classes, classes)


def most_confused(
    matrix: NDArray[np.int64], class_names: Sequence[str], count: int = 10
) -> list[dict[str, str | int]]:
    """List the most frequent mistakes, the most frequent first.

    Args:
        matrix: of `confusion_matrix`.
        class_names: K names.
        count: how many at most.

    """
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    pairs = [divmod(int(cell), len(matrix)) for cell in order]
    return [
        {"class": class_names[i], "taken_for": class_names[j], "images": int(wrong[i, j])}
        for i, j in pairs
        if wrong[i, j]
    ]


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
    return (name if len(name) <= 24 else f"{name[:23]}…").replace("$", r"\$")
