"""Confusion matrix of a classifier, and the pairs of classes it confuses most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twofold.components.evaluation.input_checks import check_labels


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
