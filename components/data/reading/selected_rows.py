"""Row selections of a split as a split: training sets biased on purpose, or small."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from twofold.components.data.reading.encoded_images import EncodedImages
from twofold.components.data.reading.split import ImageRows, Split
from twofold.components.errors import DataError

# What a rule calls the label; other names are latents.
LABEL = "label"

Rule = Mapping[str, tuple[float, float]]


def rows_by_rules(split: Split, rules: Sequence[Rule]) -> np.ndarray:
    """The rows that meet at least one rule, int64, ascending.

    Args:
        split: the images.
        rules: ranges by name, both ends included: of the label's number ("label"), or of a latent's
            value; an image meets a rule that holds in each of its names.

    Raises:
        DataError: a name is no latent of the split.
    """
    met = np.zeros(len(split.labels), bool)
    for rule in rules:
        held = np.ones(len(split.labels), bool)
        for name, (low, high) in rule.items():
            values = _values(split, name)
            held &= (low <= values) & (values <= high)
        met |= held
    return np.flatnonzero(met)


def first_rows(split: Split, count: int, seed: int) -> np.ndarray:
    """So many rows, int64, ascending: those that come first in the order of a hash of (seed, key).

    Under one seed fewer lie within more.

    Raises:
        DataError: there are fewer images.
    """
    if count > len(split.labels):
        raise DataError(f"split {split.name!r} has {len(split.labels)} images, fewer than {count}")
    ranks = np.array(
        [hashlib.sha256(f"images:{seed}:{key}".encode()).digest() for key in split.keys.tolist()],
        "S32",
    )
    return np.sort(np.argsort(ranks, kind="stable")[:count])


def select(split: Split, rows: np.ndarray) -> Split:
    """The rows of a split, int64 [n], as a split; images are read where they are.

    What is decoded on reading stays so.
    """
    images: Any = split.images
    return dataclasses.replace(
        split,
        images=cast(
            np.ndarray,
            EncodedImages(images.records.select(rows), images.decoding)
            if isinstance(images, EncodedImages)
            else SelectedImages(images, rows),
        ),
        labels=split.labels[rows],
        keys=split.keys[rows],
        latents=split.latents[rows],
        weights=None if split.weights is None else split.weights[rows],
    )


class SelectedImages(ImageRows):
    """Rows of an array uint8 [N, H, W, C], that read like one of their own."""

    def __init__(self, images: np.ndarray, rows: np.ndarray) -> None:
        super().__init__(len(rows), images.shape[1:])
        self._images, self._rows = images, rows

    def take(
        self, rows: np.ndarray, axis: int = 0, out: np.ndarray | None = None, mode: str = "clip"
    ) -> np.ndarray:
        """The images of rows, int64 [B] from 0 up, as numpy's `take` gives them along axis 0."""
        taken: np.ndarray = self._images.take(self._rows[rows], axis=0, out=out, mode="clip")
        return taken


def _values(split: Split, name: str) -> np.ndarray:
    if name == LABEL:
        return split.labels
    if name not in split.latent_names:
        known = ", ".join((LABEL, *split.latent_names))
        raise DataError(f"split {split.name!r} has no latent {name!r}: expected one of {known}")
    values: np.ndarray = split.latents[:, split.latent_names.index(name)]
    return values
