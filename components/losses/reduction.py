"""Reduction of losses: in float32 or wider, to the share of one replica.

Every loss and metric returns a share. The shares of all replicas, and the gradients of these
shares, add up to those of one device that holds the whole global batch.
"""

from __future__ import annotations

import tensorflow as tf

from twofold.components import distribute


def widen(tensor: tf.Tensor) -> tf.Tensor:
    """Casts to the type losses are computed in: float64 stays, every other type becomes float32."""
    return tf.cast(tensor, tf.float64 if tensor.dtype == tf.float64 else tf.float32)


def global_rows(local: tf.Tensor) -> tf.Tensor:
    """Returns how many rows the global batch has, as a scalar of the tensor's own float type.

    Args:
        local: float [n, ...], the rows of this replica; all replicas have as many.

    """
    return tf.cast(distribute.replica_count() * tf.shape(local)[0], local.dtype)


def mean_share(local: tf.Tensor) -> tf.Tensor:
    """Returns this replica's share of the mean over the images of the global batch.

    Args:
        local: float [n], one number for each image of this replica.

    """
    return tf.reduce_sum(local) / global_rows(local)


def even_share(value: tf.Tensor) -> tf.Tensor:
    """Returns this replica's share of a number that all replicas have computed alike."""
    return value / distribute.replica_count()
