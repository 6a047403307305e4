"""What the training loop asks of a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import keras
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class MethodOutput:
    """What a method makes of one replica's images.

    Attributes:
        loss: scalar, this replica's share: shares add up over replicas to the loss of the global
            batch.
        metrics: scalars by name, shares likewise.
        features: [B, D] of the encoder, for the online probe.

    """

    loss: tf.Tensor
    metrics: Mapping[str, tf.Tensor]
    features: tf.Tensor


class Method(Protocol):
    """A way to turn a batch of images into a loss."""

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The networks that are trained, by name; "encoder" is among them."""

    def __call__(self, images: tf.Tensor, keys: tf.Tensor) -> MethodOutput:
        """Computes the loss of one replica's images.

        Args:
            images: uint8 [B, H, W, C].
            keys: uint32 [B], the randomness of each image at this step.

        """
