"""k-nearest-neighbour head: the index, its labels and the votes in the graph."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from twofold.components.errors import ExportError
from twofold.components.export.saved_model.classifier_heads import BuiltHead

# More than single precision can be wrong about a cosine, twice: once for the k-th best, once for
# what is compared with it.
_SLACK = 2e-5


@dataclasses.dataclass(frozen=True, eq=False)
class NeighbourHead:
    """Labelled embeddings, of which the k nearest vote with weight exp(cosine / temperature).

    Wu et al. (2018), "Unsupervised Feature Learning via Non-Parametric Instance Discrimination",
    section 3.4, in the arithmetic of the measure of the same name: candidates are found in single
    precision, ranked by cosines in double precision rounded to 6 decimals, the first rows before
    others where these are equal, and the weights are divided by their sum. The probabilities are
    the shares of the votes, and the logits their logarithms, that of the smallest float32 where a
    class has no vote.

    Attributes:
        embeddings: float32 [N, D], stored once.
        labels: int [N] in [0, classes).
        classes: K.
        k: neighbours that vote; all N where it is larger.
        temperature: above 0.
        encoder: what embedded them; None for the model's own.

    Raises:
        ExportError: if the arrays do not fit each other, or a setting is out of range.

    """

    embeddings: np.ndarray
    labels: np.ndarray
    classes: int
    k: int = 20
    temperature: float = 0.07
    encoder: keras.Model | None = None

    def __post_init__(self) -> None:
        rows, labels = np.shape(self.embeddings), np.shape(self.labels)
        if len(rows) != 2 or labels != rows[:1] or not rows[0]:
            raise ExportError(
                f"an index of neighbours has embeddings [N, D] and labels [N], received {rows} and "
                f"{labels}"
            )
        if not np.isfinite(self.embeddings).all():
            raise ExportError("the embeddings of an index of neighbours must be finite")
        low, high = int(np.min(self.labels)), int(np.max(self.labels))
        if low < 0 or high >= self.classes:
            raise ExportError(
                f"labels of an index of neighbours lie in [0, {self.classes}), received {low} to "
                f"{high}"
            )
        if self.k < 1 or not self.temperature > 0:
            raise ExportError(
                f"k must be at least 1 and temperature above 0, received {self.k} and "
                f"{self.temperature}"
            )

    @property
    def features(self) -> int:
        """D."""
        return int(self.embeddings.shape[1])

    def build(self) -> BuiltHead:
        """Makes the index."""
        rows = tf.Variable(self.embeddings, trainable=False, dtype=tf.float32)
        lengths = tf.Variable(_lengths(self.embeddings), trainable=False, dtype=tf.float64)
        labels = tf.Variable(self.labels, trainable=False, dtype=tf.int32)
        k = min(self.k, len(self.labels))

        def nearest(one: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            """Of a row of length 1, float64 [D], and its rough cosines, float32 [N]."""
            query, rough = one
            candidates = tf.where(rough >= tf.math.top_k(rough, k).values[-1] - _SLACK)[:, 0]
            products = tf.linalg.matvec(tf.cast(tf.gather(rows, candidates), tf.float64), query)
            exact = _round(products / tf.gather(lengths, candidates))
            # Of equal ones it takes the first.
            best = tf.math.top_k(exact, k)
            found = tf.gather(labels, tf.gather(candidates, best.indices))
            return found, tf.cast(tf.clip_by_value(best.values, -1.0, 1.0), tf.float32)

        def logits(features: tf.Tensor) -> tf.Tensor:
            queries = _normalise(features)
            products = tf.matmul(tf.cast(queries, tf.float32), rows, transpose_b=True)
            found, cosines = tf.map_fn(
                nearest,
                (queries, products / tf.cast(lengths, tf.float32)),
                fn_output_signature=(tf.TensorSpec([k], tf.int32), tf.TensorSpec([k], tf.float32)),
            )
            shares = self._vote(found, cosines)
            return tf.math.log(tf.maximum(shares, np.finfo(np.float32).tiny))

        return BuiltHead([rows, lengths, labels], logits)

    def _vote(self, labels: tf.Tensor, cosines: tf.Tensor) -> tf.Tensor:
        """Adds up the weights by class: labels and cosines [B, k] to shares float32 [B, K]."""
        weights = tf.nn.softmax(tf.cast(cosines, tf.float64) / self.temperature)
        count = tf.shape(labels)[0]
        cells = tf.range(count)[:, None] * self.classes + labels
        votes = tf.math.unsorted_segment_sum(weights, cells, count * self.classes)
        return tf.cast(tf.reshape(votes, [count, self.classes]), tf.float32)


def _round(values: tf.Tensor) -> tf.Tensor:
    """Rounds float64 to 6 decimals, so that what sums in another order leaves no difference."""
    return tf.round(values * 1e6) / 1e6


def _normalise(features: tf.Tensor) -> tf.Tensor:
    """Divides rows by their lengths, in double precision; a row of zeros stays zeros."""
    rows = tf.cast(features, tf.float64)
    # The largest entry first: squares of tiny and huge rows would leave the range.
    rows = tf.math.divide_no_nan(rows, tf.reduce_max(tf.abs(rows), axis=1, keepdims=True))
    return tf.math.divide_no_nan(rows, tf.norm(rows, axis=1, keepdims=True))


def _lengths(embeddings: np.ndarray) -> np.ndarray:
    """The Euclidean lengths of rows, float64 [N]; 1 for rows of zeros."""
    rows = embeddings.astype(np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    lengths = largest[:, 0] * np.linalg.norm(rows / np.where(largest > 0, largest, 1.0), axis=1)
    return np.where(lengths > 0, lengths, 1.0)
