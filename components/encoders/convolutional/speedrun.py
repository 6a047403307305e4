"""Speedrun encoder: a small residual network after those of the CIFAR-10 speed runs."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from twofold.components.encoders.convolutional.speedrun_settings import smallest_image
from twofold.components.encoders.layers.blocks import in_block
from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import batch_normalizations
from twofold.components.encoders.residual.convolutions import convolution
from twofold.components.encoders.settings import check_image_size
from twofold.components.errors import SettingsError


def build_speedrun(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    filters: Sequence[int],
    mirrored: bool,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
) -> keras.Model:
    """Builds a whitened stem and residual blocks, whose last map is pooled by maximum and mean.

    Most of the work is in convolutions of many channels on small maps, which a CPU does fastest,
    after Jordan (2024), "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", sections 3.1
    and 3.2: a first layer that is not trained and whitens patches of 2x2 pixels, and three blocks
    that pool right after their first convolution.

    The stem is ``WhitenedPixels`` and a BN without scale or offset, which together give channels
    that are about uncorrelated, of variance 1; they and their negatives are rectified. Each block
    is Conv 3x3, MaxPool 2, BN, ReLU, and a residual Conv 3x3, BN, ReLU. With the default channels
    and images of 3 channels it has 1,335,576 weights.

    Args:
        image_shape: (H, W, C) of the images, float32 in [0, 1]; other sizes are taken, too.
        seed: seed of the initial weights.
        filters: channels of each block, which halves the side.
        mirrored: whether, outside training, features are the mean of an image's and of its mirror
            image's, for twice the work.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, H, W, C] to features [B, D], at least 0; D is twice the last channels.

    Raises:
        SettingsError: if there are no filters, or the image is too small for the blocks.

    """
    if not filters:
        raise SettingsError("the encoder speedrun needs filters for its blocks, received none")
    blocks = len(filters)
    check_image_size(f"speedrun with {blocks} blocks", smallest_image(blocks), *image_shape[:2])
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    images = x = keras.Input((None, None, image_shape[2]), name="images")
    if mirrored:
        x = WithMirrorImages(name="mirror")(x)
    x = in_block("stem", WhitenedPixels(name="stem"))(x)
    x = norm("stem_norm", affine=False, block="stem")(x)
    x = keras.layers.ReLU()(keras.ops.concatenate([x, -x], axis=-1))
    for index, channels in enumerate(filters, start=1):
        block = f"block{index}"
        x = convolution(x, channels, 3, initial, f"{block}_conv1", block=block)
        x = keras.layers.MaxPooling2D(2, name=f"{block}_pool")(x)
        x = keras.layers.ReLU()(norm(f"{block}_norm1", block=block)(x))
        y = convolution(x, channels, 3, initial, f"{block}_conv2", block=block)
        x = x + keras.layers.ReLU()(norm(f"{block}_norm2", block=block)(y))
    x = keras.layers.Concatenate(name="pool")(
        [keras.layers.GlobalMaxPooling2D()(x), keras.layers.GlobalAveragePooling2D()(x)]
    )
    if mirrored:
        x = MeanWithMirrorImages(name="mean")(x)
    return keras.Model(images, x, name="speedrun")


class WhitenedPixels(keras.layers.Layer):
    """Gives patches of 2x2 pixels in the basis of a cosine transform, [B, H-1, W-1, 4 C].

    The discrete cosine transform over rows, columns and channels leaves little correlation in
    photographs (Ahmed et al., 1974, "Discrete Cosine Transform"; over red, green and blue its basis
    is the opponent colours), as the eigenvectors of patches do that would have to be learned first.
    What follows has to scale the channels, whose deviations differ a hundredfold, so they stay in
    the variables' own precision. Nothing is trained.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            name=name, trainable=False, dtype=keras.config.dtype_policy().variable_dtype
        )

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Transforms every patch, by one convolution."""
        channels = images.shape[-1]
        across, colours = cosine_basis(2), cosine_basis(channels)
        kernel = np.einsum("ai,bj,ck->ijkabc", across, across, colours)
        kernel = kernel.reshape(2, 2, channels, 4 * channels)
        return tf.nn.conv2d(images, tf.constant(kernel, images.dtype), 1, "VALID")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of what it gives."""
        batch, height, width, channels = input_shape
        return (batch, *(length and length - 1 for length in (height, width)), 4 * (channels or 0))


class WithMirrorImages(keras.layers.Layer):
    """Puts images [B, H, W, C] and their mirror images in one batch [2 B, H, W, C].

    In training it leaves them as they are.
    """

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Adds the mirror images behind all of the images."""
        return images if training else tf.concat([images, tf.reverse(images, axis=[2])], axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the images."""
        return input_shape


class MeanWithMirrorImages(keras.layers.Layer):
    """Takes the mean of an image's features and its mirror image's, [2 B, D] to [B, D].

    In training it leaves them as they are.
    """

    def call(self, features: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Takes it."""
        if training:
            return features
        images, mirror_images = tf.split(features, 2)
        return (images + mirror_images) / 2.0

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the features."""
        return input_shape


def cosine_basis(length: int) -> np.ndarray:
    """Gives the orthonormal basis of the discrete cosine transform, one vector a row [n, n]."""
    waves, places = np.mgrid[:length, :length]
    basis: np.ndarray = np.cos(np.pi * waves * (places + 0.5) / length) * np.sqrt(2.0 / length)
    basis[0] = np.sqrt(1.0 / length)
    return basis
