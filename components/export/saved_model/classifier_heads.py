"""Classifier heads on an encoder's features, as an exported model holds them.

A head is asked by its name: the default one by ``classify``, another by ``classify_<name>``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from twofold.components.errors import ExportError

# From features float32 [B, D] to logits float32 [B, K].
HeadFunction = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class BuiltHead:
    """A head as a graph uses it.

    Attributes:
        variables: what it computes with, each to be stored once.
        logits: features float32 [B, D] to float32 [B, K]; their softmax is the probabilities.

    """

    variables: list[tf.Variable]
    logits: HeadFunction


class Head(Protocol):
    """A classifier that an exported model can hold."""

    @property
    def encoder(self) -> keras.Model | None:
        """The encoder whose features it was fitted on; None for the model's own."""

    @property
    def classes(self) -> int:
        """K, how many classes it tells apart."""

    @property
    def features(self) -> int:
        """D, the width of the features that it takes."""

    def build(self) -> BuiltHead:
        """Makes its variables."""


@dataclasses.dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear classifier.

    Attributes:
        weights: float32 [D, K].
        bias: float32 [K].
        encoder: whose features it takes; None for the model's own.

    Raises:
        ExportError: if the shapes do not fit each other, or a number is not finite.

    """

    weights: np.ndarray
    bias: np.ndarray
    encoder: keras.Model | None = None

    def __post_init__(self) -> None:
        shapes = np.shape(self.weights), np.shape(self.bias)
        if len(shapes[0]) != 2 or shapes[1] != shapes[0][1:]:
            raise ExportError(
                f"a linear head has weights [D, K] and a bias [K], received {shapes[0]} and "
                f"{shapes[1]}"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise ExportError("the weights and the bias of a linear head must be finite")

    @property
    def classes(self) -> int:
        """K."""
        return int(self.weights.shape[1])

    @property
    def features(self) -> int:
        """D."""
        return int(self.weights.shape[0])

    def build(self) -> BuiltHead:
        """Makes its variables."""
        weights, bias = (
            tf.Variable(part, trainable=False, dtype=tf.float32)
            for part in (self.weights, self.bias)
        )
        return BuiltHead([weights, bias], lambda features: tf.matmul(features, weights) + bias)


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkHead:
    """A network's own classifier, such as of a supervised or a fine-tuned encoder.

    Attributes:
        network: features [B, D] to logits [B, K].
        encoder: what it was trained with; None for the model's own.

    """

    network: keras.Model
    encoder: keras.Model | None = None

    @property
    def classes(self) -> int:
        """K."""
        return int(self.network.output_shape[-1])

    @property
    def features(self) -> int:
        """D."""
        return int(self.network.input_shape[-1])

    def build(self) -> BuiltHead:
        """Takes its variables out of Keras."""
        return BuiltHead(
            [variable.value for variable in self.network.variables],
            lambda features: tf.cast(self.network(features, training=False), tf.float32),
        )
