"""Representation similarity matrices: which images an encoder takes for alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.cosine import normalise_rows
from twofold.components.evaluation.input_checks import check_embeddings


def sample_rows(n_total: int, n: int | None, seed: int) -> NDArray[np.intp]:
    """Draw n different row numbers below n_total, in rising order; all where n is larger or None.

    The same arguments give the same rows, so that encoders are compared on the same images.

    Raises:
        EvaluationError: if n_total or n are below 1.

    """
    n = n_total if n is None else n
    if n_total < 1 or n < 1:
        raise EvaluationError(
            f"Rows to draw and to draw from must be at least 1, not {n}, {n_total}."
        )
    chosen = np.random.default_rng(seed).choice(n_total, size=min(n, n_total), replace=False)
    return np.sort(chosen)


def sort_order(latent: NDArray[Any], *secondary: NDArray[Any]) -> NDArray[np.intp]:
    """Give the order, int [N], that sorts images by a latent, then by the secondary ones in turn.

    Args:
        latent: numbers [N], one for each image.
        secondary: further arrays [N]; images equal in all of them keep their order.

    Raises:
        EvaluationError: if an array is not of rank 1 or they differ in length.

    """
    shapes = [list(column.shape) for column in (latent, *secondary)]
    if any(shape != [len(latent)] for shape in shapes):
        raise EvaluationError(f"Latents to sort by must be arrays [N] of one length, not {shapes}.")
    return np.lexsort((*reversed(secondary), latent))


def similarity_matrix(embeddings: NDArray[Any], order: NDArray[np.integer]) -> NDArray[np.float32]:
    """Give the cosine similarities of each pair of images, rows and columns in the given order.

    Args:
        embeddings: float [N, D].
        order: int [n], rows of `embeddings` in their order in the matrix.

    Returns:
        float32 [n, n], symmetric, in [-1, 1], its diagonal 1; a row of zeros has similarity 0 to
        everything, itself included.

    Raises:
        EvaluationError: if the embeddings cannot be used.

    """
    check_embeddings(embeddings)
    rows = normalise_rows(embeddings[order])
    return np.clip(rows @ rows.T, -1, 1).astype(np.float32)


def split_pairs(
    matrix: NDArray[Any], values: NDArray[Any] | None = None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Take the similarities of different images, each pair once, apart by whether values agree.

    Args:
        matrix: [n, n], symmetric, n at least 2.
        values: numbers [n], one for each image; None takes all pairs for different.

    Returns:
        The similarities of pairs of equal value, and of different value; n (n - 1) / 2 in all.

    Raises:
        EvaluationError: if the shapes do not fit.

    """
    size = len(matrix)
    if matrix.shape != (size, size) or size < 2 or (values is not None and len(values) != size):
        raise EvaluationError(
            "Pairs need a matrix [n, n] of at least two images, and a value for each where there "
            f"are values, but the shapes are {list(matrix.shape)} and "
            f"{None if values is None else list(np.shape(values))}."
        )
    rows, columns = np.triu_indices(size, k=1)
    similarities = matrix[rows, columns]
    if values is None:
        return similarities[:0], similarities
    equal = values[rows] == values[columns]
    return similarities[equal], similarities[~equal]
