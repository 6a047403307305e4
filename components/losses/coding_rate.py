"""Coding rate and patch similarity, the loss of EMP-SSL."""

from __future__ import annotations

import tensorflow as tf

from twofold.components import distribute
from twofold.components.losses.reduction import even_share, global_rows, mean_share, widen


def coding_rate_of_patches(
    local_patches: tf.Tensor, invariance: float = 200.0, squared_distortion: float = 0.2
) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of EMP-SSL (Tong et al., 2023).

    "EMP-SSL: Towards Self-Supervised Learning in One Training Epoch", equations 1 and 3. Of V
    patches of each of N images, with unit projections Z_v [N, P] of patch v and z_bar the mean
    of an image's V projections, ``-mean over v of R(Z_v) - lambda * mean over v and images of
    cos(z_v, z_bar)``. R is the total coding rate ``1/2 log det(I + P / (N eps^2) Z^T
    Z)``: it grows as projections spread over all directions, so that they cannot
    collapse without negatives.

    Args:
        local_patches: projections [V, n, P] of this replica's images; any float type, computed in
            float32 or wider.
        invariance: lambda, the weight of the agreement of an image's patches, >= 0.
        squared_distortion: eps^2 > 0.

    Returns:
        (loss, agreement), scalars: this replica's shares of the loss, and of the mean cosine of a
        patch's projection to its image's mean, which is in [-1, 1].

    """
    patches = tf.math.l2_normalize(widen(local_patches), axis=2)
    mean = tf.math.l2_normalize(tf.reduce_mean(patches, axis=0), axis=1)
    cosines = tf.reduce_mean(tf.reduce_sum(patches * mean, axis=2), axis=0)
    agreement = mean_share(cosines)
    width = patches.shape[2]
    scatter = distribute.sum_over_replicas(tf.matmul(patches, patches, transpose_a=True))
    scale = width / (global_rows(patches[0]) * squared_distortion)
    # Of a positive definite matrix the determinant is the squared product of Cholesky's diagonal.
    factor = tf.linalg.cholesky(tf.eye(width, dtype=patches.dtype) + scale * scatter)
    rates = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(factor)), axis=1)
    return -even_share(tf.reduce_mean(rates)) - invariance * agreement, agreement
