"""Example images to look at: a few of each class, and mistakes that the probe is sure of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def spread_over_classes(
    labels: NDArray[Any], key_hashes: NDArray[np.int64], count: int
) -> NDArray[np.intp]:
    """Choose images of as many classes as fit.

    Within a class the images of the smallest key_hashes come first, so that the choice depends on
    the images alone, not on their order.

    Args:
        labels: int [N]; -1, for none, counts as a class.
        key_hashes: int64 [N], of an image's key.
        count: how many, at least 1; all N where it is larger.

    Returns:
        int [min(count, N)] rows, sorted by class and key hash.

    """
    order = np.lexsort((key_hashes, labels))
    grouped = labels[order]
    # How many images of its class stand before each one.
    turn = np.arange(len(order)) - np.searchsorted(grouped, grouped)
    by_turn = order[np.lexsort((key_hashes[order], turn))] if count < len(order) else order
    chosen = by_turn[:count]
    return chosen[np.lexsort((key_hashes[chosen], labels[chosen]))]


def confident_errors(
    probabilities: NDArray[Any], labels: NDArray[Any], count: int
) -> NDArray[np.intp]:
    """Find the images whose wrong class has the largest probability, the surest mistake first.

    Args:
        probabilities: float [N, K].
        labels: int [N] in [0, K).
        count: the most to give.

    Returns:
        int [<= count] rows.

    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    sure = probabilities[wrong].max(axis=1)
    return wrong[np.argsort(-sure, kind="stable")[:count]]
