"""Contrastive losses that use a queue of projections of earlier batches.

A queue holds rows of unit length, all replicas the same ones. It is looked up first and filled
afterwards: a projection that was already in it would find itself.
"""

from __future__ import annotations

import tensorflow as tf

from components.losses.contrastive import both_ways, cross_view
from components.losses.reduction import mean_share, widen


def nearest_neighbour(projections: tf.Tensor, queue: tf.Tensor) -> tf.Tensor:
    """Finds each projection's nearest neighbour (NNCLR, Dwibedi et al., 2021, section 3.2).

    The neighbour is the queue's row with the largest dot product with the normalised projection.
    The gradient goes straight through: what arrives at the neighbour is passed to the normalised
    projection as it is, none to the queue.

    Args:
        projections: float [..., P], of any length.
        queue: float [Q, P], rows of unit length.

    Returns:
        Neighbours of the projections' shape, of unit length, float32 or wider.

    """
    projections = tf.math.l2_normalize(widen(projections), axis=-1)
    queue = tf.stop_gradient(tf.cast(queue, projections.dtype))
    similarity = tf.tensordot(tf.stop_gradient(projections), queue, axes=[[-1], [1]])
    neighbours = tf.gather(queue, tf.argmax(similarity, axis=-1))
    return projections + tf.stop_gradient(neighbours - projections)


def nnclr(
    local_views: tf.Tensor,
    local_neighbours: tf.Tensor,
    all_views: tf.Tensor,
    all_neighbours: tf.Tensor,
    first_row: tf.Tensor,
    temperature: float,
) -> tuple[tf.Tensor, tf.Tensor]:
    """NNCLR, both ways and symmetric (Dwibedi et al., 2021, section 3.2).

    With the normalised projections p1 and p2 of the two views and their nearest neighbours NN, the
    mean of four cross-entropies over the N images of the global batch, of NN(p1) among all p2, of
    p2 among all NN(p1), of NN(p2) among all p1, and of p1 among all NN(p2), each of the dot
    products divided by tau.

    Args:
        local_views: projections [2, n, P] of the rows to compute, view by view; any float type,
            computed in float32 or wider.
        local_neighbours: [2, n, P], what ``nearest_neighbour`` gives for them; used as they are,
            since a second normalisation would bend the gradient that goes straight through.
        all_views: projections [2, N, P] of the global batch, the local rows among them.
        all_neighbours: [2, N, P], likewise.
        first_row: int32 scalar, where in the global batch the local rows begin.
        temperature: tau > 0.

    Returns:
        (loss, accuracy), scalars: this part's share of the loss, and of the share of projections
        whose nearest projection in the other view is their partner, both ways.

    """
    rows = tf.math.l2_normalize(widen(local_views), axis=-1)
    columns = tf.math.l2_normalize(widen(all_views), axis=-1)
    loss, _ = both_ways(
        tf.concat([widen(local_neighbours), tf.reverse(rows, axis=[0])], axis=0),
        tf.concat([tf.reverse(columns, axis=[0]), widen(all_neighbours)], axis=0),
        first_row,
        temperature,
    )
    _, accuracy = cross_view(local_views, all_views, first_row, temperature)
    return loss, accuracy


def info_nce_queue(
    queries: tf.Tensor, keys: tf.Tensor, queue: tf.Tensor, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """InfoNCE with a queue of negatives (MoCo, He et al., 2020, equation 1).

    The mean over the global batch of ``-log(exp(q k / tau) / (exp(q k / tau) + sum over the queue
    of exp(q k_j / tau)))``, q and k normalised. The keys come from the momentum encoder and get no
    gradient.

    Args:
        queries: projections [n, P] of this replica's images; any float type, computed in float32
            or wider.
        keys: projections [n, P] of another view of these images.
        queue: float [Q, P], rows of unit length, Q >= 1.
        temperature: tau > 0.

    Returns:
        (loss, accuracy), scalars: this replica's share of the loss, and of the share of queries
        that are nearer to their key than to every row of the queue.

    """
    queries = tf.math.l2_normalize(widen(queries), axis=1)
    keys = tf.stop_gradient(tf.math.l2_normalize(tf.cast(keys, queries.dtype), axis=1))
    queue = tf.stop_gradient(tf.cast(queue, queries.dtype))
    positive = tf.reduce_sum(queries * keys, axis=1, keepdims=True) / temperature
    negative = tf.matmul(queries, queue, transpose_b=True) / temperature
    losses = tf.reduce_logsumexp(tf.concat([positive, negative], axis=1), axis=1) - positive[:, 0]
    # A tie, as when all projections have collapsed to one, is no hit.
    hits = tf.cast(positive[:, 0] > tf.reduce_max(negative, axis=1), queries.dtype)
    return mean_share(losses), mean_share(hits)
