"""What is measured: a plain Keras step, Twofold's step, and the networks' own share of it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks import plain_keras
from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.heads import build_projector
from twofold.components.methods.contrastive.simclr import SimCLR
from twofold.components.training.optimizers.named_optimizers import build_optimizer
from twofold.components.training.precision import precision
from twofold.components.training.step import StepSettings, TrainState, build_train_step
from twofold.components.transforms.policies import build_policy

# Runs one step and returns a number that is there only when the step is done.
Step = Callable[[], float]


def _images(images: int, side: int) -> tf.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (images, side, side, 3), dtype=np.uint8)
    return tf.constant(pixels)


def _networks(side: int) -> tuple[keras.Model, keras.Model]:
    encoder = build_encoder("conv4", (side, side, 3), seed=1, width=plain_keras.WIDTH)
    projector = build_projector(
        plain_keras.WIDTH, seed=1, units=(plain_keras.WIDTH, plain_keras.WIDTH)
    )
    return encoder, projector


def plain(images: int, side: int, dtype: str) -> Step:
    """Recipe A's step in plain Keras."""
    with precision(dtype):
        step = plain_keras.build_plain_step(side)
    batch = _images(images, side)
    return lambda: float(step(batch)["loss"])


def twofold(images: int, side: int, dtype: str) -> Step:
    """The same step by Twofold: SimCLR against the other view, without a probe."""
    with precision(dtype):
        encoder, projector = _networks(side)
    policy = build_policy(
        "simclr_strong",
        min_area=plain_keras.MIN_AREA,
        brightness=plain_keras.BRIGHTNESS,
        jitter=plain_keras.JITTER,
    )
    method = SimCLR(
        encoder,
        projector,
        views=(policy, policy),
        temperature=plain_keras.TEMPERATURE,
        negatives="other_view",
    )
    state = TrainState(method.models, build_optimizer("adam", learning_rate=1e-3))
    state.build()
    step = build_train_step(tf.distribute.get_strategy(), method, state, StepSettings(seed=1))
    batch = {
        "image": _images(images, side),
        "label": tf.fill([images], -1),
        "key_hash": tf.range(images, dtype=tf.int64),
    }
    return lambda: float(step(batch)["loss"])


def networks(images: int, side: int, dtype: str) -> Step:
    """Encoder and projector alone: forward and backward of two ready views, no update."""
    with precision(dtype):
        encoder, projector = _networks(side)
    views = [tf.cast(_images(images, side), tf.float32) / 255.0] * 2
    target = tf.random.stateless_normal([images, plain_keras.WIDTH], seed=(1, 2))
    variables = encoder.trainable_variables + projector.trainable_variables

    @tf.function
    def step() -> tf.Tensor:
        values = [variable.value for variable in variables]
        with tf.GradientTape() as tape:
            outputs = [projector(encoder(view, training=True), training=True) for view in views]
            total = sum(tf.reduce_sum(tf.cast(one, tf.float32) * target) for one in outputs)
        return tf.add_n([tf.reduce_sum(one) for one in tape.gradient(total, values)])

    return lambda: float(step())


VARIANTS: dict[str, Callable[[int, int], Step]] = {
    f"{build.__name__} {dtype}": functools.partial(build, dtype=dtype)
    for dtype in ("float32", "bfloat16")
    for build in (plain, twofold, networks)
}
