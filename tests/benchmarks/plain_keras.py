"""Recipe A's contrastive step as one would write it with Keras alone, to compare with.

Keras's own preprocessing layers, the published colour layer, one tape and one ``tf.function``, as
in keras.io's example of semi-supervised SimCLR. The online probe is left out, as it is in the step
that this one is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import tensorflow as tf

MIN_AREA = 0.25
BRIGHTNESS = 0.6
JITTER = 0.2
TEMPERATURE = 0.1
WIDTH = 128


class RandomColorAffine(keras.layers.Layer):
    """Multiplies the channels of each image with a random matrix near the identity, and clips."""

    def __init__(self, brightness: float, jitter: float, *, seed: int, **arguments: object) -> None:
        super().__init__(**arguments)
        self.brightness = brightness
        self.jitter = jitter
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        batch = keras.ops.shape(images)[0]
        scale = keras.random.uniform(
            (batch, 1, 1, 1),
            1.0 - self.brightness,
            1.0 + self.brightness,
            seed=self.seed_generator,
        )
        offset = keras.random.uniform(
            (batch, 1, 3, 3), -self.jitter, self.jitter, seed=self.seed_generator
        )
        matrices = keras.ops.eye(3) * scale + offset
        return keras.ops.clip(keras.ops.matmul(images, matrices), 0.0, 1.0)


def build_augmenter(side: int) -> keras.Sequential:
    """Builds uint8 [B, side, side, 3] to a random view of each image, float32 in [0, 1]."""
    zoom = 1.0 - math.sqrt(MIN_AREA)
    return keras.Sequential(
        [
            keras.Input((side, side, 3), dtype="uint8"),
            keras.layers.Rescaling(1 / 255, dtype="float32"),
            keras.layers.RandomFlip("horizontal", seed=1, dtype="float32"),
            keras.layers.RandomTranslation(zoom / 2, zoom / 2, seed=2, dtype="float32"),
            keras.layers.RandomZoom((-zoom, 0.0), (-zoom, 0.0), seed=3, dtype="float32"),
            RandomColorAffine(BRIGHTNESS, JITTER, seed=4, dtype="float32"),
        ]
    )


def build_encoder(side: int) -> keras.Sequential:
    """Builds recipe A's encoder."""
    return keras.Sequential(
        [
            keras.Input((side, side, 3)),
            *[keras.layers.Conv2D(WIDTH, 3, strides=2, activation="relu") for _ in range(4)],
            keras.layers.Flatten(),
            keras.layers.Dense(WIDTH, activation="relu"),
        ]
    )


def build_projector() -> keras.Sequential:
    """Builds recipe A's projection head."""
    return keras.Sequential(
        [
            keras.Input((WIDTH,)),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(WIDTH),
        ]
    )


def build_plain_step(side: int) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Builds a step from images uint8 [B, side, side, 3] to loss and contrastive accuracy."""
    augmenter, encoder, projector = build_augmenter(side), build_encoder(side), build_projector()
    optimizer = keras.optimizers.Adam(1e-3)
    variables = encoder.trainable_variables + projector.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step(images: tf.Tensor) -> dict[str, tf.Tensor]:
        one, other = augmenter(images, training=True), augmenter(images, training=True)
        with tf.GradientTape() as tape:
            first = projector(encoder(one, training=True), training=True)
            second = projector(encoder(other, training=True), training=True)
            loss, accuracy = contrastive_loss(first, second)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        return {"loss": loss, "accuracy": accuracy}

    compiled: Callable[[tf.Tensor], dict[str, tf.Tensor]] = step
    return compiled


def contrastive_loss(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the loss of each view against the other, and how often the partner is nearest."""
    first = keras.ops.normalize(keras.ops.cast(first, "float32"), axis=1)
    second = keras.ops.normalize(keras.ops.cast(second, "float32"), axis=1)
    similarities = keras.ops.matmul(first, keras.ops.transpose(second)) / TEMPERATURE
    labels = keras.ops.arange(keras.ops.shape(similarities)[0])
    losses, hits = [], []
    for logits in (similarities, keras.ops.transpose(similarities)):
        losses.append(
            keras.ops.mean(
                keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
            )
        )
        hits.append(keras.ops.mean(keras.metrics.sparse_categorical_accuracy(labels, logits)))
    return sum(losses) / 2, sum(hits) / 2
