"""NNCLR: with a little help from my friends (Dwibedi et al., 2021)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from twofold.components.losses.contrastive import contrastive_accuracy, nnclr, same_images
from twofold.components.losses.redundancy import correlation_accuracy
from twofold.components.methods.build import SHARED_PARTS, PartBuilder, Parts
from twofold.components.methods.queue import SupportQueue, carried, to_enqueue
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction


@dataclasses.dataclass(frozen=True)
class NNCLR(Method):
    """A view attracts the other view's nearest neighbour in a queue of earlier projections.

    Section 3.2 of the paper, with its prediction head and the loss made symmetric: the neighbour of
    the first view's projection against the second view's prediction and the other way round, each
    both ways. Without a prediction head and with ``neighbour_gradient`` it is keras.io's example
    (recipe B). Neighbours are looked up before the batch is enqueued, or a view would find itself.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        predictor: projections [B, P] to predictions [B, P]; None for the projections themselves.
        queue: earlier projections [Q, P].
        views: two policies.
        temperature: tau of the loss.
        neighbour_gradient: whether a neighbour's gradient goes to the projection that it was found
            for.
        accuracies_of: "features" or "projections", what the two accuracies are computed on; neither
            takes part in the loss.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    projector: keras.Model
    predictor: keras.Model | None
    queue: SupportQueue
    views: Sequence[ViewFunction]
    temperature: float
    neighbour_gradient: bool
    accuracies_of: str
    compile_views: bool = True

    @classmethod
    def own_parts(cls) -> Mapping[str, PartBuilder]:
        """A prediction head, or none."""
        return {"predictor": _predictor}

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder, the projector, and the prediction head where there is one."""
        found = {"encoder": self.encoder, "projector": self.projector}
        return found if self.predictor is None else {**found, "predictor": self.predictor}

    @property
    def memory(self) -> Mapping[str, Any]:
        """The queue."""
        return {"queue": self.queue}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss, the contrastive accuracy and the correlation accuracy."""
        views = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features = [self.encoder(view, training=True) for view in views]
        projections = [self.projector(one, training=True) for one in features]
        predictions = None
        if self.predictor is not None:
            first, second = (self.predictor(one, training=True) for one in projections)
            predictions = first, second
        same = same_images(batch.image_ids)
        loss, _ = nnclr(
            projections[0],
            projections[1],
            self.queue.values(),
            self.temperature,
            same,
            self.queue.same_images(batch.image_ids),
            predictions=predictions,
            straight_through=self.neighbour_gradient,
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


def _predictor(parts: Parts) -> keras.Model | None:
    settings: Any = parts.resolved
    return SHARED_PARTS["predictor"](parts) if settings.predictor else None
