"""Negative cosine similarity to the other view's projection: BYOL and SimSiam, no negatives.

Each compares one direction, the predictions of one view with the projections of the other. A method
calls it both ways: BYOL adds the two (Grill et al., 2020, section 3.1), SimSiam averages them (Chen
& He, 2021, equation 2).
"""

from __future__ import annotations

import tensorflow as tf

from twofold.components.losses.reduction import mean_share, widen


def byol(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The squared distance of normalised predictions and targets (Grill et al., 2020, equation 2).

    ``2 - 2 cos(q, z)``, the mean over the global batch.

    Args:
        predictions: q, float [n, P], of this replica's images; any float type, computed in float32
            or wider.
        targets: z, [n, P], projections of the momentum encoder; they get no gradient.

    Returns:
        Scalar, this replica's share of the loss, which is in [0, 4].

    """
    return mean_share(2 - 2 * _cosine_to_target(predictions, targets))


def simsiam(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """The negative cosine similarity with stopped target (Chen & He, 2021, equations 1 and 3).

    ``-cos(p, stop_gradient(z))``, the mean over the global batch.

    Args:
        predictions: p, float [n, P], of this replica's images; any float type, computed in float32
            or wider.
        targets: z, [n, P], projections of the same network; they get no gradient from here.

    Returns:
        Scalar, this replica's share of the loss, which is in [-1, 1].

    """
    return mean_share(-_cosine_to_target(predictions, targets))


def _cosine_to_target(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    predictions = tf.math.l2_normalize(widen(predictions), axis=1)
    targets = tf.math.l2_normalize(tf.cast(targets, predictions.dtype), axis=1)
    return tf.reduce_sum(predictions * tf.stop_gradient(targets), axis=1)
