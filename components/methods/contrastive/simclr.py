"""SimCLR: a simple framework for contrastive learning (Chen et al., 2020)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from twofold.components import distribute
from twofold.components.losses.contrastive import (
    cross_view,
    few_negatives,
    nt_xent,
    same_images,
)
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class SimCLR(Method):
    """Two views of an image attract, views of other images of the global batch repel.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        views: two policies.
        temperature: tau of the loss.
        negatives: "all" for the 2N - 2 other views of equation 1; "other_view" for the N - 1 of the
            partner's view, as keras.io's example has it (recipe A); or a number k of random ones
            for each anchor, or their share of the 2N views (recipe E).
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    views: Sequence[ViewFunction]
    temperature: float
    negatives: str | float
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes this replica's share of the loss and of the contrastive accuracy.

        The views go through the network one after the other, so that batch statistics are those of
        one view.
        """
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        local = tf.stack([self.projector(one, training=True) for one in features])
        everywhere = distribute.gather(local, axis=1)
        row = distribute.first_row(tf.shape(local)[1])
        same = same_images(batch.image_ids)
        if self.negatives == "all":
            loss, accuracy = nt_xent(local, everywhere, row, self.temperature, same)
        elif self.negatives == "other_view":
            loss, accuracy = cross_view(local, everywhere, row, self.temperature, same)
        else:
            loss, accuracy = few_negatives(
                local,
                everywhere,
                row,
                self.temperature,
                negatives=float(self.negatives),
                keys=batch.keys,
                same=same,
            )
        return MethodOutput(
            loss=loss, metrics={"contrastive_accuracy": accuracy}, features=features[0]
        )
