"""Spherical k-means as a loss: a dictionary of patches by gradients."""

from __future__ import annotations

import tensorflow as tf

from twofold.components import distribute
from twofold.components.losses.reduction import even_share, mean_share, widen


def dictionary_loss(local_patches: tf.Tensor, atoms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What the nearest atoms leave of patches, with unused atoms drawn to patches.

    Coates and Ng (2012), "Learning Feature Representations with K-means", equation 2: of patches z
    [N, D] and atoms d of length 1, the mean over patches and pixels of
    ``|z - <d, z> d|^2 = |z|^2 - <d, z>^2`` with the atom that leaves the least. An atom that no
    patch of the batch chose has no slope in it and would keep its first direction forever; so the
    mean over all K atoms of ``cos(d, z)^2`` with the patch that is most like it is subtracted, in
    which atoms that were chosen count 0.

    Args:
        local_patches: whitened patches [n, D] of this replica's images, computed in float32 or
            wider.
        atoms: [D, K], each of length 1.

    Returns:
        (loss, used), scalars: this replica's shares of the loss, and of the share of atoms that
        are chosen by a patch of the global batch.

    """
    patches = widen(local_patches)
    likeness = tf.square(tf.matmul(patches, tf.cast(atoms, patches.dtype)))
    energy = tf.reduce_sum(tf.square(patches), axis=1)
    left = mean_share(energy - tf.reduce_max(likeness, axis=1)) / patches.shape[1]

    chosen = tf.one_hot(tf.argmax(likeness, axis=1), atoms.shape[1], dtype=patches.dtype)
    idle = distribute.sum_over_replicas(tf.reduce_sum(chosen, axis=0)) < 0.5
    # A patch without contrast is like nothing.
    cosines = tf.math.divide_no_nan(likeness, energy[:, None])
    nearest = distribute.gather(tf.reduce_max(cosines, axis=0, keepdims=True), axis=0)
    unused = tf.cast(idle, patches.dtype)
    drawn = tf.reduce_mean(unused * tf.reduce_max(nearest, axis=0))
    return left - even_share(drawn), even_share(1.0 - tf.reduce_mean(unused))
