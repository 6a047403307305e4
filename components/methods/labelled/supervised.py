"""Supervised training: the baseline that labels alone give, and the teacher of self-training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from twofold.components.losses.distillation import cross_entropy
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class Supervised(Method):
    """Encoder and linear head learn the labels by cross-entropy; images without one are left out.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        head: features [B, D] to logits [B, K].
        views: one policy.
        compile_views: whether XLA compiles the view.

    """

    encoder: keras.Model
    head: keras.Model
    views: Sequence[ViewFunction]
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the head."""
        return {"encoder": self.encoder, "head": self.head}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes this replica's share of the cross-entropy and of the accuracy."""
        (view,) = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = self.encoder(view, training=True)
        loss, accuracy = cross_entropy(self.head(features, training=True), batch.labels)
        return MethodOutput(loss=loss, metrics={"accuracy": accuracy}, features=features)
