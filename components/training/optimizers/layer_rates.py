"""Layer-wise learning rates, lower for layers that are further from the head."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


def encoder_depths(encoder: keras.Model) -> list[int]:
    """Gives the depth of each trainable weight below the head, in the order of the weights.

    A block is a convolution or a dense layer with its normalisation, the stem, or a residual block
    with its shortcut. The block next to the head has depth 1, the one before it 2, and so on down
    to the images.

    Args:
        encoder: whose layers say by an attribute ``block`` which one they belong to; a layer
            without it is a block of its own.

    Returns:
        Depths of ``encoder.trainable_variables``, at least 1.

    """
    blocks: dict[str, int] = {}
    owners: dict[int, str] = {}
    for layer in encoder.layers:
        for variable in layer.trainable_variables:
            name = getattr(layer, "block", layer.name)
            blocks.setdefault(name, len(blocks))
            owners[id(variable)] = name
    return [len(blocks) - blocks[owners[id(one)]] for one in encoder.trainable_variables]


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with a factor on the learning rate of each weight.

    Clark et al. (2020), "ELECTRA", appendix A, and Bao et al. (2022), "BEiT", section 3.1, lower
    the rate geometrically from the head down to the input: ``rate * decay ** depth``.

    Args:
        learning_rate: of a weight whose factor is 1.
        factors: one for each weight, in the order that ``build`` gets them.
        epsilon: added to the divisor.

    """

    def __init__(
        self, learning_rate: float, factors: Sequence[float], *, epsilon: float = 1e-8
    ) -> None:
        super().__init__(learning_rate, epsilon=epsilon, name="layerwise_adam")
        self.factors = tuple(factors)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Makes the slots.

        Raises:
            ValueError: if there is not one factor for each weight.

        """
        if len(variables) != len(self.factors):
            raise ValueError(
                f"expected a factor for each of {len(variables)} weights, received "
                f"{len(self.factors)}"
            )
        super().build(variables)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one weight."""
        factor = self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)
