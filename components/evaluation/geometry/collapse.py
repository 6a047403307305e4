"""Collapse of embeddings to one point or one line: its signs, which need no labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.evaluation.geometry.cosine import normalise_rows
from twofold.components.evaluation.input_checks import check_embeddings
from twofold.components.evaluation.threads import threads_for

RANKME_EPSILON = 1e-7
DEAD_SPREAD = 1e-6


def feature_std(embeddings: NDArray[Any]) -> float:
    """Give the standard deviation of the L2-normalised embeddings, averaged over the features.

    Chen and He 2021 ("Exploring Simple Siamese Representation Learning", section 4.1): near
    1/sqrt(D) where embeddings spread evenly over the sphere, 0 where all are one point.

    Args:
        embeddings: float [N, D].

    Returns:
        A number in [0, 1/sqrt(D)].

    Raises:
        EvaluationError: if the embeddings cannot be used.

    """
    check_embeddings(embeddings)
    return float(normalise_rows(embeddings).std(axis=0).mean())


def effective_rank(embeddings: NDArray[Any]) -> float:
    """Give the number of directions that the embeddings use, as a smooth rank.

    RankMe, Garrido et al. 2023 ("RankMe: Assessing the Downstream Performance of Pretrained
    Self-Supervised Representations by Their Rank", equations 1 and 2): exp(-sum_k p_k log p_k)
    with p_k = sigma_k / sum_j sigma_j + 1e-7 over the singular values of the embeddings, which
    are not centred. The paper uses 25,600 rows; the cost grows as N * D^2.

    Args:
        embeddings: float [N, D].

    Returns:
        A number from 1 (one direction) to about min(N, D) (all alike); 0 where all embeddings are
        zeros.

    Raises:
        EvaluationError: if the embeddings cannot be used.

    """
    check_embeddings(embeddings)
    with threads_for(4 * embeddings.size * min(embeddings.shape)):
        singular = np.linalg.svd(embeddings.astype(np.float64), compute_uv=False)
    total = singular.sum()
    if total == 0:
        return 0.0
    shares = singular / total + RANKME_EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))


def dead_units(embeddings: NDArray[Any]) -> int:
    """Count the features that have one value for all images, and so tell none from another.

    A feature counts as dead where its largest and smallest value differ by at most 1e-6 of the
    largest absolute value of all features, about the precision of the embeddings: after a ReLU,
    these are the units that no image excites.

    Args:
        embeddings: float [N, D].

    Returns:
        A number in [0, D].

    Raises:
        EvaluationError: if the embeddings cannot be used.

    """
    check_embeddings(embeddings)
    low = embeddings.min(axis=0).astype(np.float64)
    high = embeddings.max(axis=0).astype(np.float64)
    largest = max(float(np.abs(low).max()), float(np.abs(high).max()))
    return int((high - low <= DEAD_SPREAD * largest).sum())
