"""Nearest-neighbour search by similarity, in blocks so that memory stays bounded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.cosine import normalise_rows
from twofold.components.evaluation.input_checks import check_embeddings

# float32 values of a block of embeddings, 128 MiB.
_BLOCK_VALUES = 2**25
_MOST_ROWS = 2**16
_NORMALISED_AT_ONCE = 4096
# More than single precision can be wrong about the product of two rows of length 1.
_SLACK = np.float32(1e-5)
# Columns compared as one in the search for a bound.
_GROUP = 32


def nearest_neighbours(
    queries: NDArray[Any], embeddings: NDArray[Any], k: int, *, chunk: int = 512
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the embeddings of largest cosine similarity to each query; of equal ones the first.

    The similarities of a chunk of queries to a block of embeddings are one matrix product in single
    precision. Candidates are those within its error of the k-th best; only these, little more than
    k of each query, are ranked, by similarities in double precision, rounded to 6 decimals. So the
    result depends neither on the chunk nor on the order in which a product adds up.

    Memory beyond the arguments and the result, in bytes: 4 * D * min(N, 2^25 / D, 2^16) for rows
    of length 1, 5 * chunk * min(N, 2^25 / D, 2^16) for similarities, about 200 * chunk * k for
    candidates. `embeddings` may be memory-mapped, and is read once.

    Args:
        queries: float [M, D].
        embeddings: float [N, D].
        k: neighbours of each, at least 1; N where it is larger.
        chunk: queries compared at once.

    Returns:
        Row numbers, int [M, k], and similarities in [-1, 1], float32 [M, k], falling; of equal
        ones the lower row number first. A row of zeros has similarity 0 to everything.

    Raises:
        EvaluationError: if the embeddings cannot be used, differ in width, or k or chunk are below
            1.

    """
    check_embeddings(queries, "queries")
    check_embeddings(embeddings)
    if queries.shape[1] != embeddings.shape[1]:
        raise EvaluationError(
            "Queries and embeddings must have one width, but they have "
            f"{queries.shape[1]} and {embeddings.shape[1]}."
        )
    if k < 1 or chunk < 1:
        raise EvaluationError(f"k and chunk must be at least 1, but they are {k} and {chunk}.")
    count, width = embeddings.shape
    block = max(1, min(_BLOCK_VALUES // width, _MOST_ROWS))
    rows = np.zeros((len(queries), 0), np.intp)
    similarities = np.zeros((len(queries), 0), np.float32)
    for first in range(0, count, block):
        candidates = _Block(embeddings[first : first + block])
        width_after = min(k, first + len(candidates.units))
        merged = np.empty((len(queries), width_after), np.intp)
        scores = np.empty((len(queries), width_after), np.float32)
        for start in range(0, len(queries), chunk):
            part = slice(start, start + chunk)
            found, found_scores = candidates.search(queries[part], k)
            merged[part], scores[part] = _merge(
                np.hstack([rows[part], found + first]),
                np.hstack([similarities[part], found_scores]),
                width_after,
            )
        rows, similarities = merged, scores
    return rows, similarities


class _Block:
    """Some of the embeddings, as a matrix product wants them.

    Args:
        rows: float [N, D].

    """

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        self.units = np.empty(rows.shape, np.float32)
        self._lengths = np.empty(len(rows))
        for start in range(0, len(rows), _NORMALISED_AT_ONCE):
            part = slice(start, start + _NORMALISED_AT_ONCE)
            units = normalise_rows(rows[part])
            self.units[part] = units
            # As the row is the length times the unit row, whatever is large in it says the length.
            column = np.abs(units).argmax(axis=1)[:, None]
            largest = np.take_along_axis(units, column, axis=1)
            raw = np.take_along_axis(rows[part], column, axis=1).astype(np.float64)
            self._lengths[part] = (raw / np.where(largest != 0, largest, 1))[:, 0]
        self._lengths[self._lengths == 0] = 1

    def search(self, queries: NDArray[Any], k: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Give the k nearest to each query, [B, min(k, N)], nearest first."""
        k = min(k, len(self.units))
        asked = normalise_rows(queries)
        products = asked.astype(np.float32) @ self.units.T
        candidates = products >= _lower_bound(products, k)[:, None] - 2 * _SLACK
        rows = np.empty((len(queries), k), np.intp)
        similarities = np.empty((len(queries), k), np.float32)
        for index, query in enumerate(asked):
            columns = np.flatnonzero(candidates[index])
            if len(columns) > 2 * k + 64:
                # The bound is a loose one; the k-th best itself, found among few, is tight.
                values = products[index, columns]
                kth = np.partition(values, len(values) - k)[len(values) - k]
                columns = columns[values >= kth - 2 * _SLACK]
            exact = self._similarities(query, columns)
            order = np.argsort(-exact, kind="stable")[:k]
            rows[index], similarities[index] = columns[order], exact[order]
        return rows, np.clip(similarities, -1, 1)

    def _similarities(
        self, query: NDArray[np.float64], columns: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        exact = np.empty(len(columns))
        for start in range(0, len(columns), _NORMALISED_AT_ONCE):
            part = columns[start : start + _NORMALISED_AT_ONCE]
            dots = self._rows[part].astype(np.float64) @ query
            exact[start : start + len(part)] = dots / self._lengths[part]
        # Sums of other orders differ in the last bits. Rounded to about the precision of the
        # embeddings, these are gone, so that ties stay ties.
        return np.round(exact, 6)


def _lower_bound(products: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Give a number for each row that at least k of its entries reach, float32 [B].

    The k-th largest of the maxima of groups is such a number, and nearly the k-th largest entry
    where there are many more groups than k.
    """
    rows, columns = products.shape
    groups = columns // _GROUP
    if groups < 4 * k:
        return np.partition(products, columns - k, axis=1)[:, columns - k]
    whole = products[:, : groups * _GROUP].reshape(rows, _GROUP, groups)
    maxima = whole.max(axis=1)
    return np.partition(maxima, groups - k, axis=1)[:, groups - k]


def _merge(
    rows: NDArray[np.intp], similarities: NDArray[np.float32], k: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    # Those of earlier blocks stand first and have lower numbers: a stable sort keeps the rule.
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(similarities, order, axis=1)
