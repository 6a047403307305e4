"""EMP-SSL: many small patches of each image in one step (Tong et al., 2023)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.losses.coding_rate import coding_rate_of_patches
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class EMPSSL(Method):
    """Patches of an image agree with their mean, and all projections spread out.

    Many views of an image in one step teach more than two in many: an image is seen from all sides
    while it is there.

    Attributes:
        encoder: [B, h, w, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        views: one policy, which all patches are drawn by.
        patches: V, how many of each image.
        invariance: lambda of the loss.
        squared_distortion: eps^2 of the loss.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    views: Sequence[ViewFunction]
    patches: int
    invariance: float
    squared_distortion: float
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss and how far patches agree; features are means over patches."""
        images = tf.tile(batch.images, [self.patches, 1, 1, 1])
        keys = tf.concat(
            [keyed_random.fold_in(batch.keys, number) for number in range(self.patches)], axis=0
        )
        (views,) = sample_views(self.views, images, keys, compiled=self.compile_views)
        features = self.encoder(views, training=True)
        projections = self.projector(features, training=True)
        loss, agreement = coding_rate_of_patches(
            tf.reshape(projections, [self.patches, -1, projections.shape[-1]]),
            self.invariance,
            self.squared_distortion,
        )
        by_patch = tf.reshape(features, [self.patches, -1, features.shape[-1]])
        return MethodOutput(
            loss=loss,
            metrics={"agreement": agreement},
            features=tf.reduce_mean(by_patch, axis=0),
        )
