"""Initializers of weights, named so that a recipe can state them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import keras

from twofold.components.errors import SettingsError

INITIALIZERS = ("keras", "pytorch", "he")


class Initializer:
    """Gives every layer of a network its own seeded initial weights.

    "keras" is Keras's default (Glorot uniform, zero biases). "pytorch" is PyTorch's: weights and
    biases uniform in +-1/sqrt(fan_in) (He et al., 2015, with a = sqrt(5)). Recipe E depends on the
    second. "he" is that of residual networks: weights normal with variance 2 / fan_out (He et al.,
    2015, eq. 14), zero biases.

    Args:
        name: one of ``INITIALIZERS``.
        seed: the run's seed; equal seeds give equal weights.

    Raises:
        SettingsError: if the name is unknown.

    """

    def __init__(self, name: str, seed: int) -> None:
        if name not in INITIALIZERS:
            known = ", ".join(INITIALIZERS)
            raise SettingsError(f"unknown initializer {name!r}: expected one of {known}")
        self._name = name
        self._seeds: Iterator[int] = itertools.count(seed * 10_000)

    def arguments(self, fan_in: int) -> dict[str, keras.Initializer]:
        """Returns the initializer arguments of a layer whose units each read ``fan_in`` numbers."""
        if self._name == "keras":
            return {"kernel_initializer": keras.initializers.GlorotUniform(seed=next(self._seeds))}
        if self._name == "he":
            kernel = keras.initializers.VarianceScaling(
                2.0, mode="fan_out", distribution="untruncated_normal", seed=next(self._seeds)
            )
            return {"kernel_initializer": kernel}
        bound = 1.0 / math.sqrt(fan_in)
        return {
            name: keras.initializers.RandomUniform(-bound, bound, seed=next(self._seeds))
            for name in ("kernel_initializer", "bias_initializer")
        }
