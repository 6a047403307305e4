"""Weighted nearest-neighbour classification: what the neighbourhoods know, with nothing to fit."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluation.cosine import normalise_rows
from components.evaluation.errors import EvaluationError
from components.evaluation.inputs import check_embeddings, check_labels


def knn_predict(
    train_embeddings: NDArray[Any],
    train_labels: NDArray[Any],
    test_embeddings: NDArray[Any],
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 256,
) -> NDArray[np.float32]:
    """Let each test image's nearest training images vote for its class.

    The weighted kNN of Wu et al. 2018 ("Unsupervised Feature Learning via Non-Parametric Instance
    Discrimination", section 3.4): the k training images of largest cosine similarity s vote for
    their labels with weight exp(s / temperature). The votes are given as shares, so that no
    temperature overflows; this changes no prediction. Among training images equally similar at
    the k-th place the first ones vote. A row of zeros has similarity 0 to everything.

    Args:
        train_embeddings: float [N, D].
        train_labels: int [N] in [0, classes).
        test_embeddings: float [M, D].
        classes: K, the number of classes.
        k: neighbours that vote, at least 1; all N where it is larger than N.
        temperature: above 0; the smaller, the more the nearest count.
        chunk: test images compared at once. Memory grows as about 20 * chunk * N bytes; the
            result does not depend on it.

    Returns:
        float32 [M, K]: each class's share of the votes, each row adding up to 1.

    Raises:
        EvaluationError: if embeddings or labels cannot be used, differ in width, or k, temperature
            or chunk are out of range.

    """
    check_embeddings(train_embeddings, "train_embeddings")
    check_embeddings(test_embeddings, "test_embeddings")
    check_labels(train_labels, len(train_embeddings), classes, "train_labels")
    if train_embeddings.shape[1] != test_embeddings.shape[1]:
        raise EvaluationError(
            "Training and test embeddings must have one width, but they have "
            f"{train_embeddings.shape[1]} and {test_embeddings.shape[1]}."
        )
    if k < 1 or chunk < 1 or not temperature > 0:
        raise EvaluationError(
            "k and chunk must be at least 1 and temperature above 0, "
            f"but they are {k}, {chunk} and {temperature}."
        )

    train = normalise_rows(train_embeddings)
    test = normalise_rows(test_embeddings)
    votes = [
        _vote(test[start : start + chunk] @ train.T, train_labels, classes, k, temperature)
        for start in range(0, len(test), chunk)
    ]
    return np.concatenate(votes)


def knn_accuracy(
    train_embeddings: NDArray[Any],
    train_labels: NDArray[Any],
    test_embeddings: NDArray[Any],
    test_labels: NDArray[Any],
    *,
    classes: int,
    k: int = 20,
    temperature: float = 0.07,
    chunk: int = 256,
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
    products: NDArray[np.float64],
    labels: NDArray[Any],
    classes: int,
    k: int,
    temperature: float,
) -> NDArray[np.float32]:
    # Matrix products of other shapes differ in the last bits. Rounded to about the precision of
    # the float32 embeddings, these are gone, so that ties stay ties whatever the chunk.
    similarities = np.round(products, 6).astype(np.float32)
    nearest = _nearest(similarities, min(k, similarities.shape[1]))
    exponents = np.take_along_axis(similarities, nearest, axis=1).astype(np.float64) / temperature
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    rows = len(similarities)
    cells = np.arange(rows)[:, None] * classes + labels[nearest]
    votes = np.bincount(cells.ravel(), weights.ravel(), minlength=rows * classes)
    return votes.reshape(rows, classes).astype(np.float32)


def _nearest(similarities: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    columns = similarities.shape[1]
    nearest = np.argpartition(similarities, columns - k, axis=1)[:, columns - k :]
    threshold = np.take_along_axis(similarities, nearest, axis=1).min(axis=1, keepdims=True)
    for row in np.flatnonzero((similarities >= threshold).sum(axis=1) > k):
        nearest[row] = np.argsort(-similarities[row], kind="stable")[:k]
    # Sums are taken in one order, whatever order the partition left.
    return np.sort(nearest, axis=1)
