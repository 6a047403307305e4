"""Online measures of an encoder in training: kNN, geometry and similarities of a few images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from twofold.components.data.reading.label_subset import labelled_rows
from twofold.components.data.reading.split import Split
from twofold.components.evaluation.embedding import build_embedding
from twofold.components.evaluation.geometry.collapse import effective_rank
from twofold.components.evaluation.geometry.similarity_matrix import (
    sample_rows,
    similarity_matrix,
    sort_order,
)
from twofold.components.evaluation.probes.confusion_matrix import confusion_matrix
from twofold.components.evaluation.probes.knn import knn_predict

_BATCH = 256
_NEIGHBOURS = 10
# More make a picture that nobody can read.
_CLASSES = 200


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was measured of an encoder.

    Attributes:
        scalars: by tag, each with what it is.
        features: float32 [N, D].
        matrices: float [n, n] in [-1, 1] by tag, each with what it is.

    """

    scalars: Mapping[str, tuple[float, str]]
    features: np.ndarray
    matrices: Mapping[str, tuple[np.ndarray, str]]


class OnlineMeasures:
    """Measures an encoder on the same few images each time, in inference mode.

    Args:
        encoder: in training.
        train: the images that it trains on.
        held_out: others; None where there are none.
        count: images in all, two thirds of them of ``train`` where kNN can be measured.
        seed: chooses them.

    """

    def __init__(
        self, encoder: keras.Model, train: Split, held_out: Split | None, count: int, seed: int
    ) -> None:
        self._classes = len(train.class_names)
        found = None if held_out is None else _labelled(held_out, max(1, count // 3), seed)
        known = _labelled(train, count - count // 3, seed)
        self._name = train.name if held_out is None else held_out.name
        self._votes = self._classes > 1 and found is not None and known is not None
        if known is not None and found is not None and self._votes:
            self._known, self._labels = known[1], found[1]
            self._images = np.concatenate([known[0], found[0]])
        else:
            split = train if held_out is None else held_out
            rows = sample_rows(len(split.images), count, seed)
            self._images, self._labels = np.asarray(split.images[rows]), split.labels[rows]
            self._known = self._labels[:0]
        self._embed = build_embedding(encoder, self._images.shape[1:])

    def __call__(self) -> Measured:
        """Embeds the images, and measures what they have become."""
        starts = range(0, len(self._images), _BATCH)
        features = np.concatenate(
            [self._embed(self._images[start : start + _BATCH]) for start in starts]
        )
        last = features[len(self._known) :]
        scalars = {
            f"geometry/{self._name}/effective_rank": (
                effective_rank(last),
                f"directions that the features of {len(last):,} {self._name} images use, at most "
                "as many as there are images, or features (RankMe, Garrido et al., 2023)",
            )
        }
        order = sort_order(self._labels)
        matrices = {
            "geometry/similarity": (
                similarity_matrix(last, order),
                f"cosine of the features of {len(last):,} {self._name} images, sorted by class "
                "where they have one: red alike, white at right angles",
            )
        }
        if self._votes:
            votes = knn_predict(
                features[: len(self._known)],
                self._known,
                last,
                classes=self._classes,
                k=_NEIGHBOURS,
            )
            predicted = votes.argmax(axis=1)
            scalars[f"probe/{self._name}/knn_accuracy"] = (
                float((predicted == self._labels).mean()),
                f"share of {len(last):,} {self._name} images that their {_NEIGHBOURS} nearest of "
                f"{len(self._known):,} training images put in their class (Wu et al., 2018)",
            )
            if self._classes <= _CLASSES:
                counted = confusion_matrix(self._labels, predicted, self._classes)
                shares = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
                matrices[f"probe/{self._name}/knn_confusion"] = (
                    shares,
                    "rows are classes, columns what nearest neighbours take them for: red all",
                )
        return Measured(scalars, features, matrices)


def _labelled(split: Split, count: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    known = labelled_rows(split)
    if not len(known):
        return None
    rows = known[sample_rows(len(known), count, seed)]
    return np.asarray(split.images[rows]), split.labels[rows]
