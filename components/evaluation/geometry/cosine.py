"""Cosine similarity: rows on the unit sphere, whose products it is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalise_rows(embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Divide each row by its Euclidean length; a row of zeros stays zeros.

    Args:
        embeddings: float [N, D].

    Returns:
        float64 [N, D]: in double precision, so that products of equal rows agree far beyond
        float32 whatever block of a matrix product they were computed in.

    """
    rows = embeddings.astype(np.float64)
    # Scaling by the largest entry first keeps the squares of tiny and huge rows in range.
    largest = np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.where(largest > 0, largest, 1.0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
