"""MoCo v2: momentum contrast (He et al., 2020; Chen et al., 2020b)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from twofold.components import distribute, keyed_random
from twofold.components.encoders.layers.normalisation import grouped_statistics
from twofold.components.losses.contrastive import info_nce_queue
from twofold.components.methods.momentum import follow
from twofold.components.methods.queue import SupportQueue, carried, to_enqueue
from twofold.components.training.method import Method, MethodInput, MethodOutput, sample_views
from twofold.components.transforms.views import ViewFunction

# Keeps the order of the images apart from what the same keys are used for elsewhere.
_ORDER = 0x50FF


@dataclasses.dataclass(frozen=True)
class MoCo(Method):
    """A view attracts the momentum encoder's projection of the other and repels a queue of those.

    Equations 1 and 2 of He et al. (2020), with version 2's projector of two layers and stronger
    views. So that batch statistics give nothing away (section 3.3), they are of parts of the batch,
    and for the keys the images are shuffled among the parts. Parts and order are of the global
    batch, the same on any number of replicas.

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        projector: features [B, D] to projections [B, P].
        momentum_encoder: of the encoder's build and initial weights.
        momentum_projector: of the projector's.
        queue: earlier projections of the momentum networks [Q, P].
        views: two policies, of the query and of the key.
        temperature: tau of the loss.
        momentum: m of the momentum networks.
        batch_norm_groups: how many parts of the global batch have batch statistics of their own; 1
            for neither parts nor shuffling.
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
    batch_norm_groups: int
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
        with grouped_statistics(self.batch_norm_groups):
            features = self.encoder(first, training=True)
            queries = self.projector(features, training=True)
            positives = tf.stop_gradient(self._keys(second, batch.keys))
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

    def _keys(self, view: tf.Tensor, image_keys: tf.Tensor) -> tf.Tensor:
        """Projects a view by the momentum networks, its images shuffled over all parts."""
        if self.batch_norm_groups == 1:
            return self.momentum_projector(
                self.momentum_encoder(view, training=True), training=True
            )
        order = _random_order(image_keys)
        rows = tf.shape(view)[0]
        first = distribute.first_row(rows)
        shuffled = tf.gather(distribute.gather(view, axis=0), order[first : first + rows])
        shuffled = tf.ensure_shape(shuffled, view.shape)
        projections = self.momentum_projector(
            self.momentum_encoder(shuffled, training=True), training=True
        )
        place = tf.math.invert_permutation(order)[first : first + rows]
        return tf.gather(distribute.gather(projections, axis=0), place)

    def after_update(self, outputs: Sequence[MethodOutput], step: tf.Tensor) -> None:
        """Moves the momentum networks and enqueues their projections."""
        follow(self.momentum_encoder, self.encoder, self.momentum)
        follow(self.momentum_projector, self.projector, self.momentum)
        self.queue.enqueue(*carried(outputs))


def _random_order(image_keys: tf.Tensor) -> tf.Tensor:
    """Returns a random order of the images of the global batch, int32 [N], by their keys."""
    draws = keyed_random.uniform(keyed_random.fold_in(image_keys, _ORDER), 1)[:, 0]
    return tf.argsort(distribute.gather(draws, axis=0), stable=True)
