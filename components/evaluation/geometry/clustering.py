"""Clustering of embeddings without labels (k-means), and its agreement with the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.cosine import normalise_rows
from twofold.components.evaluation.input_checks import check_embeddings


def cluster(
    embeddings: NDArray[Any], clusters: int, *, seed: int = 0, restarts: int = 4
) -> NDArray[np.int32]:
    """Put embeddings into clusters by k-means on their directions.

    Scikit-learn's k-means++ and Lloyd's algorithm on rows of length 1, where squared Euclidean
    distance is 2 - 2 * cosine similarity; the best of several starts by the sum of squares.

    Args:
        embeddings: float [N, D].
        clusters: in [1, N].
        seed: of the starts; the same arguments give the same clusters.
        restarts: starts, at least 1.

    Returns:
        int32 [N] in [0, clusters).

    Raises:
        EvaluationError: if the embeddings cannot be used, or clusters or restarts are out of range.

    """
    check_embeddings(embeddings)
    if not 1 <= clusters <= len(embeddings) or restarts < 1:
        raise EvaluationError(
            f"Clusters must be in [1, {len(embeddings)}], the number of embeddings, and restarts "
            f"at least 1, but they are {clusters} and {restarts}."
        )
    # More clusters than different rows cannot all be filled: scikit-learn warns, and need not.
    units = np.round(normalise_rows(embeddings), 6).astype(np.float32)
    clusters = min(clusters, _different(units, clusters))
    model = KMeans(clusters, n_init=restarts, random_state=seed)
    found: NDArray[np.int32] = model.fit_predict(units).astype(np.int32)
    return found


def clustering_agreement(
    labels: NDArray[np.integer], clusters: NDArray[np.integer]
) -> dict[str, float]:
    """Compare clusters with classes, whatever either are called.

    With n_ij images of class i in cluster j, n_i and n_j in all of a class and a cluster:

    * "nmi", normalised mutual information (Strehl and Ghosh 2002; here over the arithmetic mean of
      the entropies, as scikit-learn): sum_ij n_ij/N log(N n_ij / (n_i n_j)) / ((H_i + H_j) / 2),
      in [0, 1].
    * "ari", adjusted Rand index (Hubert and Arabie 1985, equation 5): the share of pairs that both
      put together or both apart, adjusted so that chance has 0 and equality 1; at least -0.5.

    Args:
        labels: int [N].
        clusters: int [N].

    Raises:
        EvaluationError: if they are not two arrays [N] of one length N >= 1.

    """
    if labels.ndim != 1 or labels.shape != clusters.shape or not len(labels):
        raise EvaluationError(
            "Labels and clusters must be arrays [N] of one length, but their shapes are "
            f"{list(labels.shape)} and {list(clusters.shape)}."
        )
    return {
        "nmi": float(normalized_mutual_info_score(labels, clusters)),
        "ari": float(adjusted_rand_score(labels, clusters)),
    }


def _different(rows: NDArray[np.float32], enough: int) -> int:
    """Count different rows; stop at `enough`."""
    seen: set[bytes] = set()
    for row in rows:
        seen.add((row + np.float32(0)).tobytes())
        if len(seen) >= enough:
            break
    return len(seen)
