"""k-nearest-neighbour classifier with weighted votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.input_checks import check_embeddings, check_labels
from twofold.components.evaluation.probes.nearest_neighbours import nearest_neighbours

_VOTES_AT_ONCE = 4096


def knn_predict(
    train_embeddings: NDArray[Any],
    train_labels: NDArray[Any],
    test_embeddings: NDArray[Any],
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 512,
) -> NDArray[np.float32]:
    """Let each test image's nearest training images vote for its class.

    The weighted kNN of Wu et al. 2018 ("Unsupervised Feature Learning via Non-Parametric Instance
    Discrimination", section 3.4): the k training images of largest cosine similarity s vote for
    their labels with weight exp(s / temperature). The votes are given as shares, so that no
    temperature overflows; this changes no prediction. Among training images equally similar at
    the k-th position the first ones vote. A row of zeros has similarity 0 to everything.

    Args:
        train_embeddings: float [N, D].
        train_labels: int [N] in [0, classes).
        test_embeddings: float [M, D].
        classes: K, the number of classes.
        k: neighbours that vote, at least 1; all N where it is larger than N.
        temperature: above 0; the smaller, the more the nearest count.
        chunk: test images compared at once; the result does not depend on it. How memory depends on
            it is said at `nearest_neighbours`.

    Returns:
        float32 [M, K]: each class's share of the votes, each row adding up to 1.

    Raises:
        EvaluationError: if embeddings or labels cannot be used, differ in width, or k, temperature
            or chunk are out of range.

    """
    (votes,) = knn_votes(
        train_embeddings,
        train_labels,
        test_embeddings,
        classes=classes,
        ks=(k,),
        temperature=temperature,
        chunk=chunk,
    )
    return votes


def knn_votes(
    train_embeddings: NDArray[Any],
    train_labels: NDArray[Any],
    test_embeddings: NDArray[Any],
    *,
    classes: int,
    ks: Sequence[int],
    temperature: float = 0.07,
    chunk: int = 512,
) -> list[NDArray[np.float32]]:
    """Give what `knn_predict` gives for several k, with one search for the largest of them.

    Args:
        train_embeddings: float [N, D].
        train_labels: int [N] in [0, classes).
        test_embeddings: float [M, D].
        classes: K, the number of classes.
        ks: at least one.
        temperature: see `knn_predict`.
        chunk: see `knn_predict`.

    Returns:
        float32 [M, K] for each k, in their order.

    Raises:
        EvaluationError: as `knn_predict`.

    """
    check_embeddings(train_embeddings, "train_embeddings")
    check_embeddings(test_embeddings, "test_embeddings")
    check_labels(train_labels, len(train_embeddings), classes, "train_labels")
    if train_embeddings.shape[1] != test_embeddings.shape[1]:
        raise EvaluationError(
            "Training and test embeddings must have one width, but they have "
            f"{train_embeddings.shape[1]} and {test_embeddings.shape[1]}."
        )
    if not ks or min(ks) < 1 or chunk < 1 or not temperature > 0:
        raise EvaluationError(
            "k and chunk must be at least 1 and temperature above 0, "
            f"but they are {', '.join(map(str, ks)) or 'none'}, {chunk} and {temperature}."
        )
    rows, similarities = nearest_neighbours(test_embeddings, train_embeddings, max(ks), chunk=chunk)
    votes = []
    for k in ks:
        shares = np.empty((len(rows), classes), np.float32)
        for start in range(0, len(rows), _VOTES_AT_ONCE):
            part = slice(start, start + _VOTES_AT_ONCE)
            shares[part] = _vote(
                train_labels[rows[part, :k]], similarities[part, :k], classes, temperature
            )
        votes.append(shares)
    return votes


def knn_accuracy(
    train_embeddings: NDArray[Any],
    train_labels: NDArray[Any],
    test_embeddings: NDArray[Any],
    test_labels: NDArray[Any],
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 512,
) -> float:
    """Give the share in [0, 1] of test images that `knn_predict` puts in their own class.

    Of classes with equal votes the one of lower number is predicted.

    Args:
        train_embeddings: float [N, D].
        train_labels: int [N] in [0, classes).
        test_embeddings: float [M, D].
        test_labels: int [M] in [0, classes).
        classes: K, the number of classes.
        k: neighbours that vote; all N where it is larger than N.
        temperature: see `knn_predict`.
        chunk: see `knn_predict`.

    Raises:
        EvaluationError: as `knn_predict`, and if the test labels cannot be used.

    """
    check_labels(test_labels, len(test_embeddings), classes, "test_labels")
    votes = knn_predict(
        train_embeddings,
        train_labels,
        test_embeddings,
        classes=classes,
        k=k,
        temperature=temperature,
        chunk=chunk,
    )
    return float((votes.argmax(axis=1) == test_labels).mean())


def _vote(
    labels: NDArray[Any], similarities: NDArray[np.float32], classes: int, temperature: float
) -> NDArray[np.float32]:
    """Add up the weights by class: labels and similarities [B, k] to shares [B, K]."""
    exponents = similarities.astype(np.float64) / temperature
    # The first is the largest.
    weights = np.exp(exponents - exponents[:, :1])
    weights /= weights.sum(axis=1, keepdims=True)
    rows = len(labels)
    cells = np.arange(rows)[:, None] * classes + labels
    votes = np.bincount(cells.ravel(), weights.ravel(), minlength=rows * classes)
    return votes.reshape(rows, classes).astype(np.float32)
