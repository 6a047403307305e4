"""Spherical k-means of patches: a dictionary in place of a deep network (Coates and Ng, 2012)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components import distribute, keyed_random
from twofold.components.encoders.patches.patch_dictionary import centring
from twofold.components.losses.dictionary import dictionary_loss
from twofold.components.methods.build import PartBuilder, Parts
from twofold.components.training.method import (
    Method,
    MethodInput,
    MethodOutput,
    Picture,
    sample_views,
)
from twofold.components.transforms.views import ViewFunction

_PLACES = 0x9A7C


class PatchMoments(tf.Module):
    """The mean and covariance of all patches seen so far, the same on every replica.

    Make it in the strategy's scope.

    Args:
        width: D, the pixels of a patch.

    """

    def __init__(self, width: int) -> None:
        super().__init__(name="moments")
        dtype = keras.config.dtype_policy().variable_dtype

        def variable(start: tf.Tensor, name: str) -> tf.Variable:
            # Replicas compute the same; taking the first one's is exact, where a mean would round.
            aggregation = tf.VariableAggregation.ONLY_FIRST_REPLICA
            return tf.Variable(start, trainable=False, aggregation=aggregation, name=name)

        self.count = variable(tf.zeros([], tf.int64), "count")
        self.mean = variable(tf.zeros([width], dtype), "mean")
        self.square = variable(tf.zeros([width, width], dtype), "square")

    def update(self, count: tf.Tensor, mean: tf.Tensor, square: tf.Tensor) -> None:
        """Takes more patches in.

        Args:
            count: int64 scalar, N.
            mean: [D] of the N patches q.
            square: [D, D], the mean of ``q q^T``.

        """
        total = tf.convert_to_tensor(self.count) + count
        share = tf.cast(count / total, self.mean.dtype)
        self.count.assign(total)
        for held, new in ((self.mean, mean), (self.square, square)):
            held.assign(held + share * (new - held))

    def whitening(self, epsilon: float) -> tf.Tensor:
        """Gives ZCA's transform [D, D], ``V diag(1 / sqrt(eigenvalues + epsilon)) V^T``.

        Along the direction in which all pixels are alike it is 0.
        """
        mean = tf.convert_to_tensor(self.mean)
        covariance = tf.convert_to_tensor(self.square) - mean[:, None] * mean[None, :]
        values, vectors = tf.linalg.eigh(covariance)
        scaled = vectors * tf.math.rsqrt(tf.maximum(values, 0.0) + epsilon)
        transform = tf.matmul(scaled, vectors, transpose_b=True)
        return tf.matmul(tf.constant(centring(mean.shape[0]), mean.dtype), transform)


@dataclasses.dataclass(frozen=True)
class KMeans(Method):
    """Atoms come to lie where patches are: each patch draws the one that is most like it.

    The loss is ``losses.dictionary.dictionary_loss``. Coates and Ng (2012), "Learning
    Feature Representations with K-means", alternate between codes and atoms; here atoms follow the
    gradient of a step's patches (Bottou and Bengio, 1995, "Convergence Properties of the K-Means
    Algorithms"), so that optimizer, rate and schedule are those of any other method.

    The whitening is that of all patches seen so far, ZCA with ``whitening_epsilon`` added to the
    eigenvalues of normalised patches' covariance, and is moved after each update.

    Attributes:
        encoder: of ``build_patch_dictionary``.
        moments: of patches.
        views: one policy, which patches are cut from.
        patches: V, how many of each image in a step.
        whitening_epsilon: what is added to the eigenvalues, above 0.
        compile_views: whether XLA compiles the views.

    """

    encoder: keras.Model
    moments: PatchMoments
    views: Sequence[ViewFunction]
    patches: int
    whitening_epsilon: float
    compile_views: bool = True

    @classmethod
    def own_parts(cls) -> Mapping[str, PartBuilder]:
        """The moments of the encoder's patches."""
        return {"moments": _patch_moments}

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder."""
        return {"encoder": self.encoder}

    @property
    def memory(self) -> Mapping[str, Any]:
        """The moments of the patches seen."""
        return {"moments": self.moments}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes the loss, and the share of atoms that a patch chose."""
        (views,) = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        layer, dictionary = (self.encoder.get_layer(name) for name in ("whitening", "dictionary"))
        normalised = layer.normalise(cut_patches(views, batch.keys, self.patches, layer.side))
        whitened = tf.stop_gradient(layer.whiten(normalised))
        loss, used = dictionary_loss(whitened, dictionary.directions())
        count = distribute.replica_count() * tf.shape(normalised, out_type=tf.int64)[0]
        divisor = tf.cast(count, normalised.dtype)
        square = tf.matmul(normalised, normalised, transpose_a=True)
        return MethodOutput(
            loss=loss,
            metrics={"atoms_used": used},
            features=self.encoder(views, training=True),
            carried={
                "count": count,
                "mean": distribute.sum_over_replicas(tf.reduce_sum(normalised, axis=0)) / divisor,
                "square": distribute.sum_over_replicas(square) / divisor,
            },
        )

    def after_update(self, outputs: Sequence[MethodOutput], step: tf.Tensor) -> None:
        """Takes the patches into the moments, and whitens by these."""
        for output in outputs:
            self.moments.update(*(output.carried[name] for name in ("count", "mean", "square")))
        layer = self.encoder.get_layer("whitening")
        distribute.assign(
            [layer.mean, layer.transform],
            [
                tf.convert_to_tensor(self.moments.mean),
                self.moments.whitening(self.whitening_epsilon),
            ],
        )

    def pictures(self, images: np.ndarray) -> Mapping[str, Picture]:
        """Shows the dictionary."""
        return {"dictionary": Picture(self.atoms().numpy())}

    def atoms(self) -> tf.Tensor:
        """Returns the dictionary as whitened patches [K, side, side, C], each of length 1."""
        layer, dictionary = (self.encoder.get_layer(name) for name in ("whitening", "dictionary"))
        return tf.reshape(
            tf.transpose(dictionary.directions()),
            [dictionary.atoms, layer.side, layer.side, self.encoder.input_shape[-1]],
        )


def _patch_moments(parts: Parts) -> PatchMoments:
    return PatchMoments(parts["encoder"].get_layer("whitening").mean.shape[0])


def cut_patches(images: tf.Tensor, keys: tf.Tensor, count: int, side: int) -> tf.Tensor:
    """Cuts patches at random positions, each as likely as any other.

    Args:
        images: float [B, H, W, C], of at least the side.
        keys: uint32 [B].
        count: V, how many of each image.
        side: in pixels.

    Returns:
        [B * V, side, side, C], an image's patches one after the other.

    """
    positions = [length - side + 1 for length in images.shape[1:3]]
    drawn = tf.reshape(
        keyed_random.uniform(keyed_random.fold_in(keys, _PLACES), 2 * count), [-1, count, 2]
    )
    corners = tf.cast(drawn * tf.constant(positions, tf.float32), tf.int32)
    # A product that was rounded up would lie outside.
    corners = tf.minimum(corners, tf.constant(positions) - 1)
    offsets = tf.stack(tf.meshgrid(tf.range(side), tf.range(side), indexing="ij"), axis=-1)
    pixels = corners[:, :, None, None, :] + offsets
    patches = tf.gather_nd(images, pixels, batch_dims=1)
    return tf.reshape(patches, [-1, side, side, images.shape[-1]])
