"""Method interface: what the training loop calls, and the sampling of views."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components.transforms.views import ViewFunction, make_views, to_unit_range

__all__ = ["Method", "MethodInput", "MethodOutput", "ViewFunction", "sample_views", "to_unit_range"]


@dataclasses.dataclass(frozen=True)
class MethodInput:
    """One replica's part of a batch.

    Attributes:
        images: uint8 [B, H, W, C].
        labels: int32 [B], -1 for none.
        keys: uint32 [B], the randomness of each image at this step.
        step: int64 scalar, updates made before this one.
        image_ids: int64 [B], equal for equal images, whose keys differ; None where no batch holds
            an image twice.

    """

    images: tf.Tensor
    labels: tf.Tensor
    keys: tf.Tensor
    step: tf.Tensor
    image_ids: tf.Tensor | None = None


@dataclasses.dataclass(frozen=True)
class MethodOutput:
    """What a method makes of one replica's images.

    Attributes:
        loss: scalar, this replica's share: shares add up over replicas to the loss of the global
            batch.
        metrics: scalars by name, shares likewise.
        features: [B, D] of the encoder, for the online probe.
        carried: tensors that ``Method.after_update`` needs; the same on every replica.

    """

    loss: tf.Tensor
    metrics: Mapping[str, tf.Tensor]
    features: tf.Tensor
    carried: Mapping[str, tf.Tensor] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Picture:
    """Images that show what a finished method has learned.

    Attributes:
        images: float [n, h, w, C].
        originals: uint8 [n, H, W, C] to draw above ``images``, which are then in [0, 1]; None for
            patches alone, of any scale, in which 0 is grey.
        name: what ``images`` are called beside the originals.

    """

    images: np.ndarray
    originals: np.ndarray | None = None
    name: str = "view"


# From images uint8 [B, H, W, C] and keys uint32 [B] to two views of each, float32 in [0, 1].
TwoViews = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


class Method(abc.ABC):
    """A way to turn a batch of images into a loss."""

    @classmethod
    def own_parts(cls) -> Mapping[str, Callable[[Any], Any]]:
        """How to build fields that are particular to the method, by their names.

        Each is a function of ``twofold.components.methods.build.Parts``; what is not here is a
        part that several methods have, or a setting.
        """
        return {}

    @classmethod
    def training_views(cls, settings: Any, views: Sequence[ViewFunction]) -> TwoViews:
        """Gives what draws two views of images as training does, without building a network.

        Args:
            settings: of the method.
            views: two policies, equal ones for a method that has one.

        """

        def two(images: tf.Tensor, keys: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            one, other = tf.unstack(make_views(views, images, keys), num=2)
            return one, other

        return two

    def pictures(self, images: np.ndarray) -> Mapping[str, Picture]:
        """Shows what the finished method makes of images, uint8 [n, H, W, C], by file name."""
        return {}

    @property
    @abc.abstractmethod
    def models(self) -> Mapping[str, keras.Model]:
        """The networks that gradients train, by name.

        "encoder" is among them, and "head" where the method classifies on its own.
        """

    @property
    def memory(self) -> Mapping[str, Any]:
        """What else a checkpoint must hold, by name: queues, momentum networks, teachers."""
        return {}

    @abc.abstractmethod
    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss of one replica's images."""

    def after_update(self, outputs: Sequence[MethodOutput], step: tf.Tensor) -> None:  # noqa: B027
        """Changes the memory once the weights have moved; most methods have none.

        Args:
            outputs: of the step; several where gradients are accumulated.
            step: int64 scalar, updates made before this one.

        """


def sample_views(
    views: Sequence[ViewFunction], images: tf.Tensor, keys: tf.Tensor, *, compiled: bool
) -> list[tf.Tensor]:
    """Draws one view of each image by each policy.

    Args:
        views: V policies.
        images: uint8 [B, H, W, C].
        keys: uint32 [B].
        compiled: whether XLA compiles the views, which makes them several times faster on a CPU.

    Returns:
        V tensors float32 [B, H, W, C] in [0, 1].

    """
    draw = tf.function(make_views, jit_compile=compiled, autograph=False)
    drawn: list[tf.Tensor] = tf.unstack(draw(tuple(views), images, keys), num=len(views))
    return drawn
