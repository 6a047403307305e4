"""Embedding of a whole split, computed once; every measure reads it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from twofold.components.transforms.views import to_unit_range


def build_embedding(
    encoder: keras.Model, image_shape: tuple[int, ...]
) -> Callable[[np.ndarray], np.ndarray]:
    """Builds the encoder's forward pass in inference mode.

    Args:
        encoder: float32 [B, H, W, C] in [0, 1] to features [B, D].
        image_shape: (H, W, C).

    Returns:
        A function from images uint8 [B, H, W, C] to features float32 [B, D].

    """

    @tf.function(input_signature=[tf.TensorSpec([None, *image_shape], tf.uint8)], autograph=False)
    def features(batch: tf.Tensor) -> tf.Tensor:
        return tf.cast(encoder(to_unit_range(batch), training=False), tf.float32)

    def embed_batch(batch: np.ndarray) -> np.ndarray:
        embedded: np.ndarray = features(tf.constant(batch)).numpy()
        return embedded

    return embed_batch


def embed(
    encoder: keras.Model,
    images: np.ndarray,
    *,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Runs the encoder in inference mode over images.

    Args:
        encoder: float32 [B, H, W, C] in [0, 1] to features [B, D].
        images: uint8 [N, H, W, C], may be memory-mapped.
        batch_size: images at a time.
        progress: called with the number of images done.

    Returns:
        float32 [N, D], in the images' order.

    """
    embed_batch = build_embedding(encoder, images.shape[1:])
    result = np.empty((len(images), encoder.output_shape[-1]), np.float32)
    for start in range(0, len(images), batch_size):
        stop = min(start + batch_size, len(images))
        result[start:stop] = embed_batch(images[start:stop])
        if progress is not None:
            progress(stop)
    return result
