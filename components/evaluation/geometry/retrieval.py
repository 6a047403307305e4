"""Retrieval by example: mean average precision, and recall among the most similar images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.cosine import normalise_rows
from twofold.components.evaluation.input_checks import check_embeddings

_STEPS = 1_000_000


def retrieval(
    embeddings: NDArray[Any],
    labels: NDArray[np.integer],
    *,
    ks: Sequence[int] = (1, 5, 10),
    chunk: int = 256,
) -> dict[str, float]:
    """Search with every image among all others, by cosine similarity.

    * "recall_at_K" (Jegou et al. 2011; Oh Song et al. 2016 for classes): the share of queries with
      at least one image of their class among the K most similar.
    * "map" (Philbin et al. 2007): the mean over queries of the average precision, which for a query
      with R others of its class at ranks r_1 < ... < r_R is 1/R * sum_i i / r_i.

    An image never finds itself, and an image that is the only one of its class is found but does
    not search. Of images equally similar (to 6 decimals), those of other classes rank first: so
    ties earn nothing, and the order of the images does not matter. Memory grows as about
    40 * chunk * N bytes and 16 * N * D bytes.

    Args:
        embeddings: float [N, D].
        labels: int [N].
        ks: ranks, each at least 1.
        chunk: queries at once; the result does not depend on it.

    Returns:
        Numbers in [0, 1] by name; empty where no image has another of its class.

    Raises:
        EvaluationError: if the embeddings cannot be used, labels differ from them in length, or ks
            or chunk are below 1.

    """
    check_embeddings(embeddings)
    if labels.shape != (len(embeddings),):
        raise EvaluationError(
            f"Labels must have shape [{len(embeddings)}], but it is {list(labels.shape)}."
        )
    if min((*ks, chunk)) < 1:
        raise EvaluationError(f"ks and chunk must be at least 1, but they are {ks} and {chunk}.")
    _, codes = np.unique(labels, return_inverse=True)
    queries = np.flatnonzero(np.bincount(codes)[codes] > 1)
    if not len(queries):
        return {}
    units = normalise_rows(embeddings)
    first_ranks = np.empty(len(queries), np.int64)
    precisions = np.empty(len(queries))
    ranks = np.arange(1, len(units))
    for start in range(0, len(queries), chunk):
        rows = queries[start : start + chunk]
        relevant = codes[rows][:, None] == codes
        # One number that sorts by similarity, then by whether the class is another one.
        order = np.rint(units[rows] @ units.T * -_STEPS).astype(np.int32) * 2 + relevant
        order[np.arange(len(rows)), rows] = np.iinfo(np.int32).max
        hits = (np.sort(order, axis=1)[:, :-1] & 1).astype(bool)
        first_ranks[start : start + chunk] = hits.argmax(axis=1) + 1
        found = np.cumsum(hits, axis=1, dtype=np.int32)
        gained = np.where(hits, found / ranks, 0).sum(axis=1)
        precisions[start : start + chunk] = gained / found[:, -1]
    recalls = {f"recall_at_{k}": float((first_ranks <= k).mean()) for k in ks}
    return recalls | {"map": float(precisions.mean())}
