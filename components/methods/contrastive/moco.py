"""MoCo v2: momentum contrast (He et al., 2020; Chen et al., 2020b)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from twofold.components.losses.contrastive import info_nce_queue
from twofold.components.methods.momentum import follow
from twofold.components.methods.queue import SupportQueue, carried, to_enqueue
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class MoCo(Method):
    """A view attracts the momentum encoder's projection of the other and repels a queue of those.

    Equations 1 and 2 of He et al. (2020), with version 2's projector of two layers and stronger
    views. The paper shuffles images between devices so that batch statistics give nothing away;
    here statistics are those of the global batch on any number of replicas.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        momentum_encoder: of the encoder's build and initial weights.
        momentum_projector: of the projector's.
        queue: earlier projections of the momentum networks [Q, P].
        views: two policies, of the query and of the key.
        temperature: tau of the loss.
        momentum: m of the momentum networks.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    momentum_encoder: keras.Model
    momentum_projector: keras.Model
    queue: SupportQueue
    views: Sequence[ViewFunction]
    temperature: float
    momentum: float
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    @property
    def memory(self) -> Mapping[str, Any]:
        """The queue and the momentum networks."""
        return {
            "queue": self.queue,
            "momentum_encoder": self.momentum_encoder,
            "momentum_projector": self.momentum_projector,
        }

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss and how often the other view is nearer than all of the queue."""
        first, second = sample_views(
            self.views, batch.images, batch.keys, compiled=self.compile_views
        )
        features = self.encoder(first, training=True)
        queries = self.projector(features, training=True)
        positives = tf.stop_gradient(
            self.momentum_projector(self.momentum_encoder(second, training=True), training=True)
        )
        loss, accuracy = info_nce_queue(
            queries,
            positives,
            self.queue.values(),
            self.temperature,
            self.queue.same_images(batch.image_ids),
        )
        return MethodOutput(
            loss=loss,
            metrics={"contrastive_accuracy": accuracy},
            features=features,
            carried=to_enqueue(positives, batch.image_ids),
        )

    def after_update(self, outputs: Sequence[MethodOutput], step: tf.Tensor) -> None:
        """Moves the momentum networks and enqueues their projections."""
        follow(self.momentum_encoder, self.encoder, self.momentum)
        follow(self.momentum_projector, self.projector, self.momentum)
        self.queue.enqueue(*carried(outputs))
