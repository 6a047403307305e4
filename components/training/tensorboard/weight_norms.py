"""Weight norms of the networks, and how much an update changes them."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

Weights = list[tf.Tensor]


class WeightNorms:
    """Norms of each network's trained weights, and of the last update relative to them.

    It reads weights and changes none. What it costs is paid where it is asked.

    Args:
        models: the networks, by name.

    """

    def __init__(self, models: Mapping[str, keras.Model]) -> None:
        variables = {name: model.trainable_variables for name, model in sorted(models.items())}
        self._variables = {name: own for name, own in variables.items() if own}

        @tf.function(autograph=False)
        def copy() -> Weights:
            return [tf.identity(each.value) for own in self._variables.values() for each in own]

        @tf.function(autograph=False)
        def measure(before: Weights) -> dict[str, tf.Tensor]:
            left, norms = list(before), {}
            for name, own in self._variables.items():
                old, left = left[: len(own)], left[len(own) :]
                now = [tf.convert_to_tensor(each.value) for each in own]
                norm = tf.linalg.global_norm(now)
                update = tf.linalg.global_norm(
                    [one - other for one, other in zip(now, old, strict=True)]
                )
                norms[f"rate/weight_norm/{name}"] = norm
                norms[f"rate/update_to_weight/{name}"] = tf.math.divide_no_nan(
                    update, tf.linalg.global_norm(old)
                )
            return norms

        self._copy, self._measure = copy, measure

    def before_update(self) -> Weights:
        """Copies the weights."""
        weights: Weights = self._copy()
        return weights

    def after_update(self, before: Weights) -> dict[str, float]:
        """Measures what an update did.

        Args:
            before: of ``before_update``.

        Returns:
            By tag, the L2 norm of each network's weights, ``rate/weight_norm/<network>``, and that
            of the update over that of the weights before it, ``rate/update_to_weight/<network>``.

        """
        return {tag: float(value) for tag, value in self._measure(before).items()}
