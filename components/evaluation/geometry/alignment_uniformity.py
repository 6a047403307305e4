"""Alignment and uniformity: positives near each other, everything else spread over the sphere.

Wang and Isola 2020 ("Understanding Contrastive Representation Learning through Alignment and
Uniformity on the Hypersphere", section 4.1.2), for embeddings normalised to length 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.cosine import normalise_rows
from twofold.components.evaluation.input_checks import check_embeddings


def alignment(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Give the mean of ||x - y||^2 over positive pairs (the paper's l_align with alpha = 2).

    Args:
        first: float [N, D], embeddings of one view of each image.
        second: float [N, D], of another view of the same images.

    Returns:
        A number in [0, 4]; 0 where both views have one direction.

    Raises:
        EvaluationError: if the embeddings cannot be used or differ in shape.

    """
    check_embeddings(first, "first")
    check_embeddings(second, "second")
    if first.shape != second.shape:
        raise EvaluationError(
            "Both views' embeddings must have one shape, but they have "
            f"{list(first.shape)} and {list(second.shape)}."
        )
    apart = normalise_rows(first) - normalise_rows(second)
    return float(np.square(apart).sum(axis=1).mean())


def uniformity(embeddings: NDArray[Any], *, temperature: float = 2.0, chunk: int = 512) -> float:
    """Give log mean exp(-t ||x - y||^2) over all pairs of different rows (l_uniform).

    Memory grows as about 24 * chunk * N bytes; time as N^2 * D.

    Args:
        embeddings: float [N, D], N >= 2.
        temperature: t, above 0.
        chunk: rows compared at once.

    Returns:
        A number in [-4 t, 0]; 0 where all rows have one direction. The uniform distribution on a
        sphere of many dimensions has about -2 t, the least that many rows can reach.

    Raises:
        EvaluationError: if the embeddings cannot be used, are fewer than two, or an argument is out
            of range.

    """
    check_embeddings(embeddings)
    if len(embeddings) < 2 or chunk < 1 or not temperature > 0:
        raise EvaluationError(
            "Uniformity needs at least two embeddings, a chunk of at least 1 and a temperature "
            f"above 0, but they are {len(embeddings)}, {chunk} and {temperature}."
        )
    units = normalise_rows(embeddings)
    squares = np.square(units).sum(axis=1)
    total = 0.0
    for start in range(0, len(units), chunk):
        part = slice(start, start + chunk)
        distances = squares[part, None] + squares - 2 * (units[part] @ units.T)
        kernel = np.exp(-temperature * np.maximum(distances, 0))
        # A row is no pair with itself.
        rows = np.arange(start, min(start + chunk, len(units)))
        kernel[rows - start, rows] = 0
        total += float(kernel.sum())
    return min(0.0, float(np.log(total / (len(units) * (len(units) - 1)))))
