"""Stochastic gradient descent with momentum: with weight decay, and LARS on top of it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from twofold.components.training.optimizers.exclusion import Exclusion
from twofold.components.training.optimizers.rate_apart import RateApart
from twofold.components.training.optimizers.schedules import Rate


class DecayedSGD(RateApart, keras.optimizers.SGD):
    """SGD whose weight decay is the L2 penalty's gradient, as PyTorch's.

    ``v <- momentum * v - rate * (g + decay * w)``, ``w <- w + v``. Keras's own ``weight_decay``
    shrinks the weights apart from the gradient and its momentum instead; published settings of
    self-supervised methods mean the form here.

    Args:
        learning_rate: a number or a schedule of the step.
        momentum: in [0, 1].
        decay: coefficient of the weights, at least 0.
        exclusion: what is not decayed.

    """

    def __init__(
        self, learning_rate: Rate, *, momentum: float, decay: float, exclusion: Exclusion
    ) -> None:
        super().__init__(learning_rate, momentum=float(momentum), name=type(self).__name__.lower())
        self.decay = decay
        self.exclusion = exclusion

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots, and notes which weights are excluded."""
        if self.built:
            return
        # An update sees the tensors of one replica, which have no path: only their index tells.
        self.excluded = frozenset(
            index for index, variable in enumerate(variables) if self.exclusion.covers(variable)
        )
        super().build(variables)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one weight."""
        if self._get_variable_index(variable) not in self.excluded:
            gradient = self.regularise(
                tf.cast(gradient, variable.dtype), tf.convert_to_tensor(variable)
            )
        super().update_step(gradient, variable, learning_rate)

    def regularise(self, gradient: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Returns what stands in for the gradient of a weight that is not excluded."""
        return gradient + self.decay * weight


class LARS(DecayedSGD):
    """Layer-wise adaptive rate scaling (You et al., 2017, algorithm 1).

    ``v <- momentum * v - rate * ratio * (g + decay * w)``, ``w <- w + v``, where
    ``ratio = trust_coefficient * |w| / (|g| + decay * |w| + epsilon)`` (equation 6), and 1 for a
    layer whose weights or gradients are all zero, which could never move otherwise. An excluded
    weight has neither ratio nor decay.

    Args:
        learning_rate: a number or a schedule of the step.
        momentum: in [0, 1].
        decay: coefficient of the weights, at least 0.
        exclusion: what is neither decayed nor adapted.
        trust_coefficient: above 0.
        epsilon: keeps the quotient finite; at least 0.

    """

    def __init__(
        self,
        learning_rate: Rate,
        *,
        momentum: float,
        decay: float,
        exclusion: Exclusion,
        trust_coefficient: float,
        epsilon: float,
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, decay=decay, exclusion=exclusion)
        self.trust_coefficient = trust_coefficient
        self.epsilon = epsilon

    def regularise(self, gradient: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        """Returns the decayed gradient, scaled to the layer."""
        weight_norm, gradient_norm = tf.norm(weight), tf.norm(gradient)
        ratio = tf.math.divide_no_nan(
            self.trust_coefficient * weight_norm,
            gradient_norm + self.decay * weight_norm + self.epsilon,
        )
        usable = tf.logical_and(weight_norm > 0, gradient_norm > 0)
        return super().regularise(gradient, weight) * tf.where(usable, ratio, tf.ones_like(ratio))
