"""BYOL: bootstrap your own latent (Grill et al., 2020)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from twofold.components.losses.regression import byol
from twofold.components.methods.momentum import cosine_momentum, follow
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class BYOL(Method):
    """A predictor on one view's projection predicts the momentum encoder's of the other.

    Equation 2 of the paper, both ways round (its section 3.1); the momentum rises to 1.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        predictor: projections [B, P] to predictions [B, P].
        momentum_encoder: of the encoder's build and initial weights.
        momentum_projector: of the projector's.
        views: two policies.
        momentum: of the momentum networks at the first step.
        steps: of the whole training, at whose end the momentum is 1.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    predictor: keras.Model
    momentum_encoder: keras.Model
    momentum_projector: keras.Model
    views: Sequence[ViewFunction]
    momentum: float
    steps: int
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder, the projector and the predictor."""
        return {
            "encoder": self.encoder,
            "projector": self.projector,
            "predictor": self.predictor,
        }

    @property
    def memory(self) -> Mapping[str, Any]:
        """The momentum networks."""
        return {
            "momentum_encoder": self.momentum_encoder,
            "momentum_projector": self.momentum_projector,
        }

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the sum of both directions' losses, between 0 and 8."""
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        predictions = [
            self.predictor(self.projector(one, training=True), training=True) for one in features
        ]
        targets = [
            self.momentum_projector(self.momentum_encoder(view, training=True), training=True)
            for view in views
        ]
        loss = byol(predictions[0], targets[1]) + byol(predictions[1], targets[0])
        return MethodOutput(loss=loss, metrics={}, features=features[0])

    def after_update(self, outputs: Sequence[MethodOutput], step: tf.Tensor) -> None:
        """Moves the momentum networks."""
        momentum = cosine_momentum(self.momentum, step, self.steps)
        follow(self.momentum_encoder, self.encoder, momentum)
        follow(self.momentum_projector, self.projector, momentum)
