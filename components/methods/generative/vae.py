"""Variational autoencoder (Kingma & Welling, 2014)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.encoders.convolutional.decoder import build_decoder
from twofold.components.encoders.heads import build_gaussian_head, build_log_variance_head
from twofold.components.losses.elbo import kl_to_standard_normal, reconstruction, sample_gaussian
from twofold.components.methods.build import PartBuilder, Parts
from twofold.components.training.method import (
    Method,
    MethodInput,
    MethodOutput,
    Picture,
    sample_views,
)
from twofold.components.transforms.views import ViewFunction, to_unit_range

_NOISE = 0x5AE


@dataclasses.dataclass(frozen=True)
class VAE(Method):
    """Images are coded by a normal distribution and decoded from a draw of it.

    The loss is the negative of equation 10: binary cross-entropy summed over the pixels, plus the
    divergence of the code from the standard normal (appendix B).

    Attributes:
        encoder: [B, H, W, C] to features [B, D].
        trunk: the same network, to its features, which are then the mean of the code, and to what
            its last dense layer reads, [B, W]; None where the code has two heads of its own.
        head: what the last dense layer reads, [B, W], to the log-variance [B, L]; without a trunk,
            features [B, D] to mean and log-variance, each [B, L].
        decoder: codes [B, L] to logits [B, H, W, C].
        views: one policy; the picture that is drawn is also the one to rebuild.
        kl_weight: of the divergence; 1 is the paper's bound (beta of Higgins et al., 2017).
        compile_views: whether XLA compiles the view.

    """

    encoder: keras.Model
    trunk: keras.Model | None
    head: keras.Model
    decoder: keras.Model
    views: Sequence[ViewFunction]
    kl_weight: float
    compile_views: bool = True

    @classmethod
    def own_parts(cls) -> Mapping[str, PartBuilder]:
        """The heads of the code, what the second one reads, and the decoder."""
        return {"trunk": _trunk, "head": _head, "decoder": _decoder}

    @property
    def models(self) -> Mapping[str, keras.Model]:
        """The encoder, the heads that it does not have itself, and the decoder."""
        return {"encoder": self.encoder, self.head.name: self.head, "decoder": self.decoder}

    def __call__(self, batch: MethodInput) -> MethodOutput:
        """Computes this replica's share of the loss and of its two parts, in nats an image."""
        (view,) = sample_views(self.views, batch.images, batch.keys, compiled=self.compile_views)
        features, mean, log_variance = self._code(view, training=True)
        noise_keys = keyed_random.fold_in(batch.keys, _NOISE)
        code = sample_gaussian(mean, log_variance, noise_keys)
        rebuilt = reconstruction(self.decoder(code, training=True), view)
        divergence = kl_to_standard_normal(mean, log_variance)
        return MethodOutput(
            loss=rebuilt + self.kl_weight * divergence,
            metrics={"reconstruction": rebuilt, "kl": divergence},
            features=features,
        )

    def _code(self, images: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Gives features, mean and log-variance of images [B, H, W, C]."""
        if self.trunk is None:
            features = self.encoder(images, training=training)
            mean, log_variance = self.head(features, training=training)
            return features, mean, log_variance
        mean, read = self.trunk(images, training=training)
        return mean, mean, self.head(read, training=training)

    def pictures(self, images: np.ndarray) -> Mapping[str, Picture]:
        """Shows the images rebuilt."""
        rebuilt = self.reconstruct(tf.constant(images)).numpy()
        return {"reconstructions": Picture(rebuilt, images, "reconstruction")}

    def reconstruct(self, images: tf.Tensor) -> tf.Tensor:
        """Decodes the mean code of images, uint8 [B, H, W, C] to float32 likewise in [0, 1]."""
        _, mean, _ = self._code(to_unit_range(images), training=False)
        return tf.cast(tf.sigmoid(self.decoder(mean, training=False)), tf.float32)


def _trunk(parts: Parts) -> keras.Model | None:
    if parts["latent"] is not None:
        return None
    encoder = parts["encoder"]
    read = encoder.get_layer(parts.context.encoder.last_dense_input)
    return keras.Model(encoder.input, [encoder.output, read.output], name="trunk")


def _head(parts: Parts) -> keras.Model:
    seed, features = parts.context.seed, parts["encoder"].output_shape[-1]
    norm = parts.context.encoder.head_batch_norm
    if parts["latent"] is not None:
        return build_gaussian_head(features, seed=seed, units=parts["latent"], **norm)
    return build_log_variance_head(
        parts["trunk"].outputs[1].shape[-1], seed=seed, units=features, **norm
    )


def _decoder(parts: Parts) -> keras.Model:
    context = parts.context
    return build_decoder(
        context.image_shape,
        seed=context.seed,
        latent=parts["latent"] or parts["encoder"].output_shape[-1],
        filters=context.encoder.mirrored_filters or CoreSettings().filters,
        **context.encoder.head_batch_norm,
    )
