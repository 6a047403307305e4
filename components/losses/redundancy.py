"""Redundancy-reduction losses: Barlow Twins and VICReg, without negatives.

Their covariances are D x D, and D is in the thousands. Nothing of that size is made: for Z_a and
Z_b of [N, D], the sum of the squares of Z_a^T Z_b is the sum over all pairs of images of (Z_a
Z_a^T) * (Z_b Z_b^T), two N x N matrices of which a replica needs its own rows. The sum off the
diagonal is that less the diagonal's. Where the diagonal is nearly all of it, the difference has an
absolute error of about 1e-7 of the diagonal's sum, in float32.
"""

from __future__ import annotations

import tensorflow as tf

from twofold.components import distribute
from twofold.components.losses.reduction import even_share, global_rows, mean_share, widen

# Of the variance, as in the papers' code (for Barlow Twins that of its batch normalisation).
BARLOW_EPSILON = 1e-5
VICREG_EPSILON = 1e-4


def barlow_twins(
    local_first: tf.Tensor, local_second: tf.Tensor, off_diagonal: float = 0.005
) -> tf.Tensor:
    """Barlow Twins (Zbontar et al., 2021, equations 1 and 2).

    With c the D x D cross-correlation of the two views over the global batch, ``sum over i of (c_ii
    - 1)^2 + lambda * sum over i != j of c_ij^2``. Each unit is standardised over the global batch
    of its view, by the biased variance plus 1e-5: a constant unit correlates with nothing.

    Args:
        local_first: projections [n, D] of the first view of this replica's images; any float type,
            computed in float32 or wider.
        local_second: projections [n, D] of the second view.
        off_diagonal: lambda, the weight of the redundancy, >= 0.

    Returns:
        Scalar, this replica's share of the loss, a sum over units (not a mean).

    """
    first, second = _standardise(local_first), _standardise(local_second)
    count = global_rows(first)
    diagonal = distribute.sum_over_replicas(tf.reduce_sum(first * second, axis=0)) / count
    squares = tf.square(diagonal)
    on_diagonal = tf.reduce_sum(tf.square(diagonal - 1) - off_diagonal * squares)
    everything = tf.reduce_sum(_products_of_pairs(first) * _products_of_pairs(second)) / count**2
    return even_share(on_diagonal) + off_diagonal * everything


def vicreg(
    local_first: tf.Tensor,
    local_second: tf.Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
) -> tf.Tensor:
    """VICReg, variance-invariance-covariance regularisation (Bardes et al., 2022, equations 1-6).

    ``lambda s(Z, Z') + mu (v(Z) + v(Z')) + nu (c(Z) + c(Z'))`` over the global batch of N images
    and D units: v is the mean over units of ``max(0, 1 - sqrt(variance + 1e-4))``; c is the sum of
    the squared covariances of different units, divided by D; both by the unbiased variance, with
    N - 1. s is the squared distance of the two views, the mean over images *and* units: equation 5
    has the sum over units, algorithm 1 of the same paper the mean, and the weights 25, 25, 1 belong
    to the mean. Some public code, the authors' among it, halves the variance term.

    Args:
        local_first: projections [n, D] of the first view of this replica's images; any float type,
            computed in float32 or wider. The global batch has at least two images.
        local_second: projections [n, D] of the second view.
        invariance: lambda >= 0.
        variance: mu >= 0.
        covariance: nu >= 0.

    Returns:
        Scalar, this replica's share of the loss.

    """
    return vicreg_and_terms(local_first, local_second, invariance, variance, covariance)[0]


def vicreg_and_terms(
    local_first: tf.Tensor,
    local_second: tf.Tensor,
    invariance: float,
    variance: float,
    covariance: float,
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Computes ``vicreg``, and its terms before their weights.

    Returns:
        (the loss, its terms: "invariance" s(Z, Z'), "variance" v(Z) + v(Z') and "covariance"
        c(Z) + c(Z')), scalars, this replica's shares.

    """
    first, second = widen(local_first), widen(local_second)
    distance = mean_share(tf.reduce_mean(tf.math.squared_difference(first, second), axis=1))
    first_hinge, first_covariance = _hinge_and_covariance(first)
    second_hinge, second_covariance = _hinge_and_covariance(second)
    hinges, covariances = first_hinge + second_hinge, first_covariance + second_covariance
    loss = invariance * distance + variance * hinges + covariance * covariances
    return loss, {"invariance": distance, "variance": hinges, "covariance": covariances}


def correlation_accuracy(local_first: tf.Tensor, local_second: tf.Tensor) -> tf.Tensor:
    """How often a unit of one view correlates most with itself among the units of the other view.

    From the D x D cross-correlation over the global batch (Zbontar et al., 2021, equation 2): the
    share of rows, and of columns, whose largest entry is on the diagonal, averaged. Near 1/D for
    random features, 1 for features that are alike in both views and not redundant; units that do
    not vary count as misses (but for the first of all). A D x D matrix is made.

    Args:
        local_first: features [n, D] of the first view of this replica's images; any float type,
            computed in float32 or wider.
        local_second: features [n, D] of the second view.

    Returns:
        Scalar, this replica's share of the accuracy, which is in [0, 1].

    """
    # However little a unit varies, its correlations are no smaller for it.
    first, second = _standardise(local_first, 0.0), _standardise(local_second, 0.0)
    correlation = distribute.sum_over_replicas(tf.matmul(first, second, transpose_a=True))
    units = tf.range(tf.shape(correlation)[0])
    hits = [
        tf.equal(tf.argmax(correlation, axis=axis, output_type=tf.int32), units) for axis in (0, 1)
    ]
    return even_share(tf.reduce_mean(tf.cast(hits, correlation.dtype)))


def _centre(local: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Centres each unit over the global batch.

    Returns:
        (rows [n, D] less the mean, [D] the sum of their squares over the global batch). The squares
        are those of the differences: the difference of mean squares would cancel on large means.

    """
    mean = distribute.sum_over_replicas(tf.reduce_sum(local, axis=0)) / global_rows(local)
    centred = local - mean
    return centred, distribute.sum_over_replicas(tf.reduce_sum(tf.square(centred), axis=0))


def _standardise(local: tf.Tensor, epsilon: float = BARLOW_EPSILON) -> tf.Tensor:
    """Centres and scales each unit over the global batch; one that does not vary becomes zeros."""
    centred, squares = _centre(widen(local))
    variance = squares / global_rows(centred) + epsilon
    return centred * tf.where(variance > 0, tf.math.rsqrt(variance), tf.zeros_like(variance))


def _products_of_pairs(local: tf.Tensor) -> tf.Tensor:
    """Returns this replica's rows [n, N] of Z Z^T, of Z [N, D] over the global batch."""
    return tf.matmul(local, distribute.gather(local, axis=0), transpose_b=True)


def _hinge_and_covariance(local: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns this replica's shares of v(Z) and c(Z) of VICReg."""
    centred, squares = _centre(local)
    units = tf.cast(tf.shape(local)[1], local.dtype)
    freedom = global_rows(local) - 1
    variance = squares / freedom
    hinge = tf.reduce_mean(tf.nn.relu(1 - tf.sqrt(variance + VICREG_EPSILON)))
    diagonal = even_share(tf.reduce_sum(tf.square(variance)))
    everything = tf.reduce_sum(tf.square(_products_of_pairs(centred))) / tf.square(freedom)
    return even_share(hinge), (everything - diagonal) / units
