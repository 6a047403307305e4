"""LAMB optimizer, with the weight decay that Keras's own leaves out of the layer's norm."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from twofold.components.training.optimizers.exclusion import Exclusion
from twofold.components.training.optimizers.rate_apart import RateApart
from twofold.components.training.optimizers.schedules import Rate


class LAMB(RateApart):
    """Layer-wise adaptive moments (You et al., 2020, algorithm 2), as in tensorflow-addons.

    ``u = m_hat / (sqrt(v_hat) + epsilon) + decay * w`` with Adam's bias-corrected moments, and
    ``w <- w - rate * |w| / |u| * u``; the ratio is 1 where either norm is 0. Keras's Lamb applies
    decay apart from ``u``, which changes the direction and the ratio.

    Args:
        learning_rate: a number or a schedule of the step.
        decay: coefficient of the weights, at least 0.
        exclude_from_decay: what is not decayed.
        exclude_from_adaptation: what keeps the ratio 1; None for what is not decayed.
        beta_1: of the first moment, in [0, 1).
        beta_2: of the second moment, in [0, 1).
        epsilon: above 0.

    """

    def __init__(
        self,
        learning_rate: Rate,
        *,
        decay: float = 0.0,
        exclude_from_decay: Exclusion,
        exclude_from_adaptation: Exclusion | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__(learning_rate, name="lamb")
        self.decay = decay
        self.exclude_from_decay = exclude_from_decay
        self.exclude_from_adaptation = exclude_from_adaptation or exclude_from_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots, and notes which weights are excluded from what."""
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        # An update sees the tensors of one replica, which have no path: only their index tells.
        numbered = list(enumerate(variables))
        self.not_decayed = frozenset(
            index for index, one in numbered if self.exclude_from_decay.covers(one)
        )
        self.not_adapted = frozenset(
            index for index, one in numbered if self.exclude_from_adaptation.covers(one)
        )

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one weight."""
        dtype = variable.dtype
        gradient = tf.cast(gradient, dtype)
        weight = tf.convert_to_tensor(variable)
        count = tf.cast(tf.convert_to_tensor(self.iterations), dtype) + 1
        beta_1, beta_2 = tf.constant(self.beta_1, dtype), tf.constant(self.beta_2, dtype)
        index = self._get_variable_index(variable)

        first = tf.convert_to_tensor(self._momentums[index])
        second = tf.convert_to_tensor(self._velocities[index])
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * tf.square(gradient)
        self.assign(self._momentums[index], first)
        self.assign(self._velocities[index], second)

        deviation = tf.sqrt(second / (1 - tf.pow(beta_2, count)))
        update = first / (1 - tf.pow(beta_1, count)) / (deviation + self.epsilon)
        if index not in self.not_decayed:
            update += self.decay * weight
        if index not in self.not_adapted:
            weight_norm, update_norm = tf.norm(weight), tf.norm(update)
            ratio = tf.math.divide_no_nan(weight_norm, update_norm)
            usable = tf.logical_and(weight_norm > 0, update_norm > 0)
            update *= tf.where(usable, ratio, tf.ones_like(ratio))
        rate = self.rate_of(variable, learning_rate)
        self.assign_sub(variable, tf.cast(rate, dtype) * update)
