"""SimCLR: a simple framework for contrastive learning (Chen et al., 2020)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import tensorflow as tf

from components import distribute
from components.losses.contrastive import nt_xent
from components.methods.base import MethodOutput
from components.transforms.views import ViewFunction, make_views


@dataclasses.dataclass(frozen=True)
class SimCLR:
    """Two views of an image attract, all other views of the global batch repel (NT-Xent).

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        view: draws one view of each image.
        temperature: tau of the loss.
        compile_views: compile the views with XLA, which makes them several times faster on a CPU.

    """

    encoder: keras.Model
    projector: keras.Model
    view: ViewFunction
    temperature: float
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    def __call__(self, images: tf.Tensor, keys: tf.Tensor) -> MethodOutput:
        """Computes this replica's share of NT-Xent and of the contrastive accuracy.

        The views go through the network one after the other, so that batch statistics are those of
        one view.
        """
        draw = tf.function(make_views, jit_compile=self.compile_views)
        views = draw((self.view, self.view), images, keys)
        features = [self.encoder(view, training=True) for view in tf.unstack(views)]
        projections = tf.stack([self.projector(one, training=True) for one in features])
        loss, accuracy = nt_xent(
            projections,
            distribute.gather(projections, axis=1),
            distribute.first_row(tf.shape(projections)[1]),
            self.temperature,
        )
        return MethodOutput(
            loss=loss,
            metrics={"contrastive_accuracy": accuracy},
            features=features[0],
        )
