"""SimSiam: exploring simple Siamese representation learning (Chen & He, 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from twofold.components.losses.regression import simsiam
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class SimSiam(Method):
    """A predictor on one view's projection predicts the other view's, whose gradient is stopped.

    Equations 1 and 2 of the paper: the mean of both directions' negative cosine, between -1 and 1.
    A ``feature_std`` near 1 / sqrt(D) is healthy; towards 0 the encoder has collapsed.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        predictor: projections [B, P] to predictions [B, P].
        views: two policies.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    predictor: keras.Model
    views: Sequence[ViewFunction]
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder, the projector and the predictor."""
        return {
            "encoder": self.encoder,
            "projector": self.projector,
            "predictor": self.predictor,
        }

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes this replica's share of the loss."""
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        first, second = (self.projector(one, training=True) for one in features)
        loss = 0.5 * (
            simsiam(self.predictor(first, training=True), second)
            + simsiam(self.predictor(second, training=True), first)
        )
        return MethodOutput(loss=loss, metrics={}, features=features[0])
