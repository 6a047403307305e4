"""Momentum encoder of BYOL and MoCo: a slowly following copy of a network."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from twofold.components import distribute


def follow(follower: keras.Model, leader: keras.Model, momentum: tf.Tensor | float) -> None:
    """Moves a network towards another of the same build.

    Every trained weight becomes ``m * follower + (1 - m) * leader`` (He et al., 2020, equation 2;
    Grill et al., 2020, equation 1). Statistics of batch normalisation are left to the follower's
    own forward passes.

    Args:
        follower: is changed.
        leader: is read.
        momentum: m in [0, 1].

    """
    share = tf.cast(momentum, keras.config.floatx())
    slow, fast = follower.trainable_variables, leader.trainable_variables
    values = [
        share * tf.convert_to_tensor(one) + (1.0 - share) * tf.convert_to_tensor(other)
        for one, other in zip(slow, fast, strict=True)
    ]
    distribute.assign(slow, values)


def cosine_momentum(base: float, step: tf.Tensor, steps: int) -> tf.Tensor:
    """Raises the momentum from ``base`` to 1 along half a cosine (Grill et al., 2020, section 3.2).

    Args:
        base: the momentum of step 0.
        step: int64 scalar.
        steps: K, the steps of the whole training.

    Returns:
        float32 scalar ``1 - (1 - base) * (cos(pi * step / K) + 1) / 2``.

    """
    progress = tf.cast(step, tf.float32) / float(steps)
    return 1.0 - (1.0 - base) * (tf.cos(math.pi * progress) + 1.0) / 2.0
