"""Conditions in views: passes that are computed only where an image of the batch drew them.

On a CPU they save work, and keep XLA from fusing what it had better store: it fuses a chain
of gathers and filters into one loop that computes the same source pixels over and over, which slows
some chains down tenfold and makes others take minutes to compile, but it does not fuse across a
condition. On a GPU they would only hold it up: whether a batch needs a pass is known on the host
after a copy, for which the GPU's queue runs empty. There, all passes are computed always.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def branches() -> bool:
    """Tells whether views branch: everywhere but on a machine that trains on GPUs."""
    return not tf.config.list_physical_devices("GPU")


def where_any(
    drawn: tf.Tensor, compute: Callable[[], tf.Tensor], otherwise: Callable[[], tf.Tensor]
) -> tf.Tensor:
    """Computes a pass unless no image of the batch needs it.

    Args:
        drawn: bool of any shape, which images drew it.
        compute: the pass, which gives the images that did not draw it back as ``otherwise`` does.
        otherwise: what there is without it, of the same shape and dtype.

    """
    return tf.cond(tf.reduce_any(drawn), compute, otherwise) if branches() else compute()


def isolated_images(compute: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Computes a pass that XLA on a CPU fuses with nothing before or after it.

    Args:
        compute: from images to images of the same shape and dtype.
        images: float [B, H, W, C]; where the first pixel of one is not a number, all come back as
            they are.

    """
    if not branches():
        return compute(images)
    corner = images[:, :1, :1, :1]
    return tf.cond(tf.reduce_all(tf.equal(corner, corner)), lambda: compute(images), lambda: images)
