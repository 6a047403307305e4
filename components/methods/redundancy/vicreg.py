"""VICReg: variance, invariance and covariance (Bardes et al., 2022)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from twofold.components.losses.redundancy import vicreg_and_terms
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class VICReg(Method):
    """Projections of two views agree, while each unit varies and no two say the same.

    Equations 1 to 6 of the paper.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        views: two policies.
        invariance: lambda, the weight of the distance between the views.
        variance: mu, the weight of what a unit's deviation lacks to 1.
        covariance: nu, the weight of the squared covariances.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    views: Sequence[ViewFunction]
    invariance: float
    variance: float
    covariance: float
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes this replica's share of the loss, and of its terms before their weights."""
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        first, second = (self.projector(one, training=True) for one in features)
        loss, terms = vicreg_and_terms(
            first, second, self.invariance, self.variance, self.covariance
        )
        return MethodOutput(loss=loss, metrics=terms, features=features[0])
