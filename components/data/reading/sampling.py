"""Weighted sampling: which rows of a split are drawn, and how often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twofold.components.data.reading.label_subset import labelled_rows
from twofold.components.data.reading.split import Split
from twofold.components.errors import DataError

SAMPLINGS = ("uniform", "balanced", "weighted")


@dataclass(frozen=True)
class Draws:
    """Draws with replacement, of which each depends on the seed, the step and its position alone.

    Attributes:
        cumulative: float64 [n], ascending: up to each row, the sum of how often rows are drawn.
        seed: another one draws others.

    """

    cumulative: np.ndarray
    seed: int

    def positions(self, step: int, first: int, count: int) -> np.ndarray:
        """The rows of the positions from `first` on in a step's batch, int64 [count] in [0, n)."""
        key = np.array([self.seed % 2**64, step], np.uint64)
        bits = np.random.Philox(key=key).random_raw(first + count)[first:]
        # 53 bits are what a float64 holds exactly.
        share = (bits >> np.uint64(11)) * 2.0**-53
        found = np.searchsorted(self.cumulative, share * self.cumulative[-1], side="right")
        # The product may round up to the sum of all.
        rows: np.ndarray = np.minimum(found, len(self.cumulative) - 1)
        return rows


def rows_to_draw(split: Split, *, sampling: str, labelled_only: bool = False) -> np.ndarray:
    """The rows of a split that can be drawn, int64, ascending; balanced draws need a label.

    Raises:
        DataError: `sampling` is none of `SAMPLINGS`, or needs labels or weights that are not there.

    """
    if sampling not in SAMPLINGS:
        raise DataError(f"sampling must be one of {', '.join(SAMPLINGS)}, received {sampling!r}")
    if sampling == "weighted":
        _weights_of(split)
    if not labelled_only and sampling != "balanced":
        return np.arange(len(split.labels))
    rows = labelled_rows(split)
    if sampling == "balanced" and not len(rows):
        raise DataError(
            f"sampling=balanced draws each class as often, and split {split.name!r} has no labels"
        )
    return rows


def draws_of(split: Split, rows: np.ndarray, *, sampling: str, seed: int) -> Draws | None:
    """How rows of `rows_to_draw` are drawn; None where each comes once an epoch.

    Balanced: each class that has a row equally often, and of a class each row equally often.
    Weighted: each row as often as its weight says.
    """
    if sampling == "uniform":
        return None
    if sampling == "balanced":
        labels = split.labels[rows]
        shares = 1.0 / np.bincount(labels)[labels]
    else:
        shares = _weights_of(split)[rows].astype(np.float64)
    return Draws(np.cumsum(shares), seed)


def _weights_of(split: Split) -> np.ndarray:
    if split.weights is None:
        raise DataError(
            f"sampling=weighted draws by the images' weights, and split {split.name!r} has none"
        )
    return split.weights
