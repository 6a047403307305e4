"""NNCLR: with a little help from my friends (Dwibedi et al., 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from twofold.components.losses.contrastive import contrastive_accuracy, nnclr, same_images
from twofold.components.losses.redundancy import correlation_accuracy
from twofold.components.methods.queue import SupportQueue, carried, to_enqueue
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class NNCLR(Method):
    """A view attracts the other view's nearest neighbour in a queue of earlier projections.

    Equation 3 of the paper, in the four terms of keras.io's example (recipe B): NN(p1) against p2
    and NN(p2) against p1, each both ways. Neighbours are looked up before the batch is enqueued, or
    a view would find itself.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        queue: earlier projections [Q, P].
        views: two policies.
        temperature: tau of the loss.
        accuracies_of: "features" or "projections", what the two accuracies are computed on; neither
            takes part in the loss.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    queue: SupportQueue
    views: Sequence[ViewFunction]
    temperature: float
    accuracies_of: str
    compile_views: bool = True

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder and the projector."""
        return {"encoder": self.encoder, "projector": self.projector}

    @property
    def memory(self) -> Mapping[str, Any]:
        """The queue."""
        return {"queue": self.queue}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss, the contrastive accuracy and the correlation accuracy."""
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        projections = [self.projector(one, training=True) for one in features]
        same = same_images(batch.image_ids)
        loss, _ = nnclr(
            projections[0],
            projections[1],
            self.queue.values(),
            self.temperature,
            same,
            self.queue.same_images(batch.image_ids),
        )
        first, second = features if self.accuracies_of == "features" else projections
        return MethodOutput(
            loss=loss,
            metrics={
                "contrastive_accuracy": contrastive_accuracy(first, second, same),
                "correlation_accuracy": correlation_accuracy(first, second),
            },
            features=features[0],
            carried=to_enqueue(projections[0], batch.image_ids),
        )

    def after_update(self, outputs: Sequence[MethodOutput], step: tf.Tensor) -> None:
        """Enqueues the first view's projections."""
        self.queue.enqueue(*carried(outputs))
