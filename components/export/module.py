"""A SavedModel that holds the whole answer: decoding, resizing, scaling, encoder and head.

What is tracked is the raw variables, not the Keras model: a SavedModel that tracks a Keras 3 model
loads in Python and fails in TensorFlow Serving's C++ loader.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from components.transforms.decode import DecodeRule, decode_images
from components.transforms.views import to_unit_range


@dataclasses.dataclass(frozen=True)
class LinearHead:
    """A linear classifier on the embedding: weights float32 [D, K], bias float32 [K]."""

    weights: np.ndarray
    bias: np.ndarray


def save_encoder(
    directory: Path, encoder: keras.Model, rule: DecodeRule, head: LinearHead | None
) -> None:
    """Writes a SavedModel with the signatures ``serving_default`` and ``embed``.

    ``serving_default`` takes ``image_bytes``, string [B], whole JPEG or PNG files, and gives
    ``embedding`` float32 [B, D] and, with a head, ``logits`` and ``probabilities`` float32 [B, K].
    ``embed`` takes ``images``, uint8 [B, H, W, C] of the rule's size, and gives ``embedding``.
    Wrong shapes and undecodable bytes are INVALID_ARGUMENT.

    Args:
        directory: the version directory to write.
        encoder: float32 [B, H, W, C] in [0, 1] to features [B, D].
        rule: how files become the encoder's pixels.
        head: of the classes, or None where there are no labels.

    """
    image_shape = [None, rule.height, rule.width, rule.channels]
    module = tf.Module()
    module.encoder_variables = [variable.value for variable in encoder.variables]
    module.head_variables = (
        [tf.Variable(part, trainable=False, dtype=tf.float32) for part in (head.weights, head.bias)]
        if head is not None
        else []
    )

    def features(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(encoder(to_unit_range(images), training=False), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec(image_shape, tf.uint8, "images")])
    def embed(images: tf.Tensor) -> dict[str, tf.Tensor]:
        # A wrong rank that reaches the convolution aborts the whole process.
        images = tf.ensure_shape(images, image_shape)
        return {"embedding": features(images)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serving_default(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        image_bytes = tf.ensure_shape(image_bytes, [None])
        answer = {"embedding": features(decode_images(image_bytes, rule))}
        if module.head_variables:
            weights, bias = module.head_variables
            logits = tf.matmul(answer["embedding"], weights) + bias
            answer |= {"logits": logits, "probabilities": tf.nn.softmax(logits)}
        return answer

    tf.saved_model.save(
        module, str(directory), signatures={"serving_default": serving_default, "embed": embed}
    )
