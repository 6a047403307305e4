"""Barlow Twins: redundancy reduction (Zbontar et al., 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from twofold.components.losses.redundancy import barlow_twins, correlation_accuracy
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class BarlowTwins(Method):
    """The cross-correlation of two views' projections is drawn to the identity matrix.

    Equations 1 and 2 of the paper.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        views: two policies.
        off_diagonal: lambda, the weight of the entries off the diagonal.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    views: Sequence[ViewFunction]
    off_diagonal: float
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss, and the correlation accuracy of the features."""
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        first, second = (self.projector(one, training=True) for one in features)
        return MethodOutput(
            loss=barlow_twins(first, second, self.off_diagonal),
            # Of the features: the projections have thousands of units, and as large a matrix.
            metrics={"correlation_accuracy": correlation_accuracy(*features)},
            features=features[0],
        )
