"""Label subsets: fewer labels, chosen so that different shares of them compare."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from fractions import Fraction

import numpy as np

from twofold.components.data.reading.split import Split
from twofold.components.errors import DataError


def labelled_rows(split: Split) -> np.ndarray:
    """The rows that have a label, int64, ascending."""
    return np.flatnonzero(split.labels >= 0)


def unlabelled_rows(split: Split) -> np.ndarray:
    """The rows that have no label, int64, ascending."""
    return np.flatnonzero(split.labels < 0)


def keep_labels(split: Split, share: float, seed: int) -> Split:
    """The same images, of which only a share keeps its labels; no image is copied.

    Of each class's n labelled images, ceil(share * n) keep theirs: those that come first in the
    order of a hash of (seed, key). So the choice depends on no row's position, every class keeps at
    least one label, and under one seed a smaller share's labels lie within a larger one's.

    Args:
        split: the images.
        share: of the labelled images of each class, above 0 and at most 1; 1 gives `split` itself.
        seed: another seed chooses other images.

    Returns:
        A split with the label -1, in `labels`, wherever none is kept.

    Raises:
        DataError: the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise DataError(
            f"the share of labels to keep must be above 0 and at most 1, received {share}"
        )
    if share == 1:
        return split
    # As written, 0.07 of 100 is 7; as a product of floats it is a little more, and so 8.
    exact = Fraction(str(share))
    labels = np.full_like(split.labels, -1)
    rows = labelled_rows(split)
    ranks = np.array([_rank(seed, key) for key in split.keys[rows].tolist()], "S32")
    for label in np.unique(split.labels[rows]):
        members = np.flatnonzero(split.labels[rows] == label)
        kept = members[np.argsort(ranks[members])][: math.ceil(exact * len(members))]
        labels[rows[kept]] = label
    return dataclasses.replace(split, labels=labels)


def _rank(seed: int, key: str) -> str:
    return hashlib.sha256(f"labels:{seed}:{key}".encode()).hexdigest()[:32]


def sample_labelled(split: Split, count: int | None) -> np.ndarray:
    """Gives the rows of the labelled images, or those of them whose keys hash to the least.

    Fewer are a part of more. Ascending int64 [n].

    Args:
        split: the images.
        count: at least 1, or None for all.

    """
    known = labelled_rows(split)
    if count is None or count >= len(known):
        return known
    order = np.argsort(split.key_hashes[known], kind="stable")
    return np.sort(known[order[:count]])
