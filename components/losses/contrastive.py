"""Losses that pull two views of an image together and push other images away."""

from __future__ import annotations

import tensorflow as tf


def nt_xent(
    local_views: tf.Tensor, all_views: tf.Tensor, first_row: tf.Tensor, temperature: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """NT-Xent, the normalised temperature-scaled cross-entropy (Chen et al., 2020, equation 1).

    For each of the 2N projections i with partner p(i), the loss is ``-log(exp(s(i, p(i)) / tau) /
    sum over j != i of exp(s(i, j) / tau))`` with cosine similarity s, and the result is the mean
    over all 2N. The rows may be a part of the batch, as on one replica of several: then the results
    of all parts add up to the global ones, and so do their gradients.

    Args:
        local_views: projections [2, n, P] of the rows to compute, view by view; any float type,
            computed in float32 or wider.
        all_views: projections [2, N, P] of the global batch, the local rows among them.
        first_row: int32 scalar, where in the global batch the local rows begin.
        temperature: tau > 0.

    Returns:
        (loss, accuracy), scalars: this part's share of the mean loss, and of the share of rows
        whose nearest other projection is their partner.

    """
    dtype = tf.float64 if local_views.dtype == tf.float64 else tf.float32
    local_views = tf.math.l2_normalize(tf.cast(local_views, dtype), axis=-1)
    all_views = tf.math.l2_normalize(tf.cast(all_views, dtype), axis=-1)
    local_count, count = tf.shape(local_views)[1], tf.shape(all_views)[1]
    projections = local_views.shape[-1]
    rows = tf.reshape(local_views, [2 * local_count, projections])
    columns = tf.reshape(all_views, [2 * count, projections])
    position = first_row + tf.range(local_count)
    itself = tf.concat([position, count + position], axis=0)
    partner = tf.concat([count + position, position], axis=0)

    logits = tf.matmul(rows, columns, transpose_b=True) / temperature
    logits = tf.where(
        tf.one_hot(itself, 2 * count, on_value=True, off_value=False), logits.dtype.min, logits
    )
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=partner, logits=logits)
    hits = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), partner), dtype)
    rows_in_batch = tf.cast(2 * count, dtype)
    return tf.reduce_sum(losses) / rows_in_batch, tf.reduce_sum(hits) / rows_in_batch
