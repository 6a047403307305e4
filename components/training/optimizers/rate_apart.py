"""Learning rate of their own for some weights of an optimizer, beside the schedule of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

# From the step to a rate.
StepRate = Callable[[tf.Tensor], tf.Tensor]


class RateApart(keras.optimizers.Optimizer):
    """An optimizer that can move some of its weights by another rate than the rest.

    Whatever else it does to them is the same. Only AdamW's decay, which stands apart from the
    update, keeps to the rate of the rest.
    """

    _apart: frozenset[int] = frozenset()
    _apart_rate: StepRate | None = None

    def set_apart(self, variables: Sequence[keras.Variable], rate: StepRate) -> None:
        """Chooses the weights, before the slots are made.

        Args:
            variables: to be moved apart.
            rate: of their update after so many updates.

        """
        self._chosen = frozenset(id(variable) for variable in variables)
        self._apart_rate = rate

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots, and notes where among the weights the chosen ones are."""
        if self._apart_rate is not None:
            # An update sees the tensors of one replica: only their index tells.
            self._apart = frozenset(
                index for index, one in enumerate(variables) if id(one) in self._chosen
            )
        super().build(variables)

    def rate_of(self, variable: tf.Variable, learning_rate: tf.Tensor) -> tf.Tensor:
        """Returns the rate of a weight: its own, or that of the rest."""
        if self._apart_rate is None or self._get_variable_index(variable) not in self._apart:
            return learning_rate
        return tf.cast(self._apart_rate(tf.convert_to_tensor(self.iterations)), learning_rate.dtype)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one weight."""
        super().update_step(gradient, variable, self.rate_of(variable, learning_rate))


class Adam(RateApart, keras.optimizers.Adam):
    """Keras's Adam, some weights of which may have a rate of their own."""
