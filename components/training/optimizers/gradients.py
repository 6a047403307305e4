"""Gradient aggregation over replicas, clipping, and the update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from twofold.components import distribute


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | None],
    variables: Sequence[keras.Variable],
    *,
    clip_norm: float | None = None,
) -> tf.Tensor | None:
    """Updates weights by the sum of the replicas' gradients, in a replica's step.

    Keras's own clipping cuts each replica's gradient before the sum, which makes the update depend
    on the number of replicas. Here the norm is that of the sum. A LossScaleOptimizer's gradients
    come scaled; the norm and its bound are those of the gradients without the scale, and a number
    that is not finite on one replica skips the update on all.

    Args:
        optimizer: built. It adds the replicas' gradients up itself.
        gradients: this replica's share, one for each variable.
        variables: the weights.
        clip_norm: the largest global norm (Pascanu et al., 2013, algorithm 1), above 0; None does
            not clip.

    Returns:
        The global norm before clipping, a scalar, the same on every replica. Without ``clip_norm``
        None where it would take an exchange of its own, with several replicas, or is of no use,
        with scaled gradients, of which some are not finite.

    Raises:
        ValueError: if a variable has no gradient.

    """
    shares = [gradient for gradient in gradients if gradient is not None]
    if len(shares) < len(variables):
        pairs = zip(gradients, variables, strict=True)
        missing = [variable.path for gradient, variable in pairs if gradient is None]
        raise ValueError(
            f"no gradient reaches {', '.join(missing)}: expected a loss that depends on every "
            f"trained weight"
        )
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if clip_norm is None:
        optimizer.apply(_agree(shares) if scaled else shares, variables)
        if scaled or distribute.replica_count() > 1:
            return None
        return tf.linalg.global_norm(shares)
    # The sum serves for its norm alone: scaling each share scales the sum, however many they are.
    norm = tf.linalg.global_norm(distribute.sum_over_replicas(shares))
    if scaled:
        norm /= tf.cast(tf.convert_to_tensor(optimizer.dynamic_scale), norm.dtype)
    # A norm that is infinite must not turn into a factor of zero.
    factor = tf.where(
        tf.math.is_finite(norm),
        clip_norm / tf.maximum(norm, clip_norm),
        tf.constant(math.nan, norm.dtype),
    )
    optimizer.apply([one * tf.cast(factor, one.dtype) for one in shares], variables)
    return norm


def _agree(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Spreads a number that is not finite on one replica to all.

    LossScaleOptimizer asks the first replica alone whether to skip the update.
    """
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(one)) for one in gradients])
    failures = distribute.sum_over_replicas(tf.where(finite, 0.0, 1.0))
    poison = tf.where(failures > 0, math.nan, 0.0)
    return [one + tf.cast(poison, one.dtype) for one in gradients]
