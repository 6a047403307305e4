"""Queue of projections of earlier batches (first in, first out), the same on every replica."""

from __future__ import annotations

import keras
import tensorflow as tf


class SupportQueue(tf.Module):
    """The newest projections, newest first.

    Make it in the strategy's scope. It starts with seeded random directions, as MoCo's and NNCLR's
    do, which real projections push out.

    Args:
        size: Q, how many rows it holds.
        width: P of the projections.
        seed: of the first rows.

    """

    def __init__(self, size: int, width: int, *, seed: int) -> None:
        super().__init__(name="queue")
        dtype = keras.config.floatx()
        start = tf.random.stateless_normal([size, width], seed=(seed, 0x71), dtype=tf.float32)
        # Replicas enqueue the same gathered rows; taking the first one's is exact, where a mean
        # would round.
        self.rows = tf.Variable(
            tf.cast(tf.math.l2_normalize(start, axis=1), dtype),
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="rows",
        )

    def values(self) -> tf.Tensor:
        """Returns what the queue holds, [Q, P], L2-normalised."""
        return tf.convert_to_tensor(self.rows)

    def enqueue(self, projections: tf.Tensor) -> None:
        """Puts rows in front, and drops as many of the oldest.

        Args:
            projections: [N, P] of the global batch, N at most Q; normalised here.

        """
        rows = tf.math.l2_normalize(tf.cast(projections, self.rows.dtype), axis=1)
        kept = self.values()[: self.rows.shape[0] - tf.shape(rows)[0]]
        self.rows.assign(tf.concat([rows, kept], axis=0))
