"""Queue of projections of earlier batches (first in, first out), the same on every replica."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from twofold.components import distribute
from twofold.components.training.method import MethodOutput


class SupportQueue(tf.Module):
    """The newest projections, newest first.

    Make it in the strategy's scope. It starts with seeded random directions, as MoCo's and NNCLR's
    do, which real projections push out.

    Args:
        size: Q, how many rows it holds.
        width: P of the projections.
        seed: of the first rows.
        images: whether it knows which image a row is of, for batches that hold one several times.

    """

    def __init__(self, size: int, width: int, *, seed: int, images: bool = False) -> None:
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
        self.image_ids: tf.Variable | None = None
        if images:
            self.image_ids = tf.Variable(
                tf.fill([size], tf.constant(-1, tf.int64)),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name="image_ids",
            )

    def values(self) -> tf.Tensor:
        """Returns what the queue holds, [Q, P], L2-normalised."""
        return tf.convert_to_tensor(self.rows)

    def same_images(self, image_ids: tf.Tensor | None) -> tf.Tensor | None:
        """Tells which rows are of the same image.

        Args:
            image_ids: int64 [n], at least 0; None where no batch holds an image twice.

        Returns:
            bool [n, Q]; None likewise.

        """
        if image_ids is None or self.image_ids is None:
            return None
        return image_ids[:, None] == tf.convert_to_tensor(self.image_ids)[None, :]

    def enqueue(self, projections: tf.Tensor, image_ids: tf.Tensor | None = None) -> None:
        """Puts rows in front, and drops as many of the oldest.

        Args:
            projections: [N, P] of the global batch, N at most Q; normalised here.
            image_ids: int64 [N] of their images, where the queue knows images.

        """
        rows = tf.math.l2_normalize(tf.cast(projections, self.rows.dtype), axis=1)
        kept = self.values()[: self.rows.shape[0] - tf.shape(rows)[0]]
        self.rows.assign(tf.concat([rows, kept], axis=0))
        if self.image_ids is not None and image_ids is not None:
            older = tf.convert_to_tensor(self.image_ids)[: self.rows.shape[0] - tf.shape(rows)[0]]
            self.image_ids.assign(tf.concat([image_ids, older], axis=0))


def to_enqueue(projections: tf.Tensor, image_ids: tf.Tensor | None) -> Mapping[str, tf.Tensor]:
    """Gives what a method carries to ``SupportQueue.enqueue``, of all replicas.

    Args:
        projections: [n, P] of this replica's images.
        image_ids: ``MethodInput.image_ids``.

    """
    gathered = {"projections": distribute.gather(projections, axis=0)}
    if image_ids is not None:
        gathered["image_ids"] = distribute.gather(image_ids, axis=0)
    return gathered


def carried(outputs: Sequence[MethodOutput]) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Gives the arguments of ``SupportQueue.enqueue`` of what ``to_enqueue`` had carried."""
    rows, image_ids = (
        [output.carried[name] for output in outputs if name in output.carried]
        for name in ("projections", "image_ids")
    )
    return tf.concat(rows, axis=0), tf.concat(image_ids, axis=0) if image_ids else None
