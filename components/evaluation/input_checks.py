"""Checks of embeddings and labels, which every measure makes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError


def check_embeddings(embeddings: NDArray[Any], name: str = "embeddings") -> None:
    """Refuse embeddings that no measure can read.

    Args:
        embeddings: expected to be a finite floating-point array [N, D] with N, D >= 1.
        name: what the error message calls the array.

    Raises:
        EvaluationError: for another rank or dtype, no rows or columns, or values that are not
            finite (the trace of a training run that diverged).

    """
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        raise EvaluationError(
            f"{name} must be an array [N, D] with at least one row and one column, "
            f"but its shape is {list(embeddings.shape)}."
        )
    if not np.issubdtype(embeddings.dtype, np.floating):
        raise EvaluationError(
            f"{name} must be floating-point, but its dtype is {embeddings.dtype}."
        )
    broken = embeddings.size - int(np.isfinite(embeddings).sum())
    if broken:
        raise EvaluationError(
            f"{name} must be finite, but {broken} of its {embeddings.size} values are not: "
            "the encoder that made them has probably diverged."
        )


def check_labels(labels: NDArray[Any], rows: int, classes: int, name: str = "labels") -> None:
    """Refuse labels that do not give each of `rows` images one of `classes` classes.

    Args:
        labels: expected to be an integer array [rows] with values in [0, classes).
        rows: the number of embeddings that the labels belong to.
        classes: the number of classes, at least 2.
        name: what the error message calls the array.

    Raises:
        EvaluationError: for fewer than two classes, another shape or dtype, missing labels (-1),
            or labels out of range.

    """
    if classes < 2:
        raise EvaluationError(f"classes must be at least 2, but it is {classes}.")
    if labels.shape != (rows,):
        raise EvaluationError(
            f"{name} must have one entry for each of the {rows} embeddings (shape [{rows}]), "
            f"but its shape is {list(labels.shape)}."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise EvaluationError(f"{name} must be integers, but its dtype is {labels.dtype}.")
    missing = int((labels == -1).sum())
    if missing:
        raise EvaluationError(
            f"{name} must be in [0, {classes}), but {missing} of {rows} are missing (-1): "
            "keep the labelled images only."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise EvaluationError(
            f"{name} must be in [0, {classes}), but they lie in [{labels.min()}, {labels.max()}]."
        )
