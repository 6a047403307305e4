"""Bag of patches: a small residual network of patches, whose features are averaged."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import batch_normalizations
from twofold.components.encoders.patches.bag_of_patches_settings import check_patches
from twofold.components.encoders.residual.convolutions import convolution
from twofold.components.encoders.settings import check_image_size
from twofold.components.errors import SettingsError


def build_bag_of_patches(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    patch: int,
    stride: int,
    filters: Sequence[int],
    features: int,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
) -> keras.Model:
    """Builds a network of square patches, and the mean of its features over a grid of them.

    An image of the patch's size is one patch, as in training on patches; of a larger one, patches
    are cut every ``stride`` pixels, and at the far edges. Features are non-linear before the mean
    is taken, so that it says which kinds of patches there are, not only what they look like on
    average (Chen et al., 2022, "Bag of Image Patch Embedding Behind the Success of Self-Supervised
    Learning").

    A patch goes through Conv 3x3, BN, ReLU; for each further width Conv 3x3, MaxPool 2, BN, ReLU
    and a residual Conv 3x3, BN, ReLU; the mean over its positions; and Dense, BN, ReLU.

    Args:
        image_shape: (H, W, C) of the images, float32 in [0, 1]; other sizes are taken, too.
        seed: seed of the initial weights.
        patch: height and width of a patch in pixels.
        stride: pixels from one patch to the next, at most the side of a patch.
        filters: channels of the first convolution and of each block, which halves the side.
        features: D, the width of the last layer.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, H, W, C] to features [B, D], at least 0.

    Raises:
        SettingsError: if there are no filters, the image is smaller than a patch, a patch too small
            for the blocks, or pixels would lie between patches.

    """
    check_patches(patch, stride, filters)
    check_image_size(f"bag_of_patches with patches of {patch} pixels", patch, *image_shape[:2])
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    images = keras.Input((None, None, image_shape[2]), name="images")
    x = Patches(patch, stride, name="patches")(images)
    # About mean 0 and deviation 1, which photographs in [0, 1] have near 0.5 and 0.25.
    x = keras.layers.Rescaling(4.0, -2.0, name="centre")(x)
    x = convolution(x, filters[0], 3, initial, "stem_conv", block="stem")
    x = keras.layers.ReLU()(norm("stem_norm", block="stem")(x))
    for index, channels in enumerate(filters[1:], start=1):
        block = f"block{index}"
        x = convolution(x, channels, 3, initial, f"{block}_conv1", block=block)
        x = keras.layers.MaxPooling2D(2, name=f"{block}_pool")(x)
        x = keras.layers.ReLU()(norm(f"{block}_norm1", block=block)(x))
        y = convolution(x, channels, 3, initial, f"{block}_conv2", block=block)
        x = x + keras.layers.ReLU()(norm(f"{block}_norm2", block=block)(y))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(
        features, use_bias=False, name="features", **initial.arguments(filters[-1])
    )(x)
    x = keras.layers.ReLU()(norm("features_norm", block="features")(x))
    x = MeanOverPatches(name="mean")([x, images])
    return keras.Model(images, x, name="bag_of_patches")


class Patches(keras.layers.Layer):
    """Cuts images [B, H, W, C] into P square patches each, [B * P, side, side, C].

    H and W are known when it is called, and may differ from call to call.
    """

    def __init__(self, side: int, stride: int, name: str) -> None:
        super().__init__(name=name)
        self.side, self.stride = side, stride

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Cuts them.

        Raises:
            SettingsError: if they are smaller than a patch.

        """
        height, width, channels = images.shape[1:]
        if min(height, width) < self.side:
            raise SettingsError(
                f"images of at least {self.side}x{self.side}, one patch, are needed, received "
                f"{height}x{width}"
            )
        if (height, width) == (self.side, self.side):
            return images
        parts = [
            images[:, top : top + self.side, left : left + self.side]
            for top in self._starts(height)
            for left in self._starts(width)
        ]
        return tf.reshape(tf.stack(parts, axis=1), [-1, self.side, self.side, channels])

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the shape of the patches."""
        return (None, self.side, self.side, input_shape[-1])

    def _starts(self, length: int) -> list[int]:
        last = length - self.side
        return sorted({*range(0, last, self.stride), last})


class MeanOverPatches(keras.layers.Layer):
    """Takes the mean of patches' features [B * P, D] for each of B images, [B, D]."""

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """Takes it, of (features, images)."""
        features, images = inputs
        by_image = tf.reshape(features, [tf.shape(images)[0], -1, features.shape[-1]])
        return tf.reduce_mean(by_image, axis=1)

    def compute_output_shape(
        self, input_shape: list[tuple[int | None, ...]]
    ) -> tuple[int | None, ...]:
        """Returns the shape of the mean."""
        return (None, input_shape[0][-1])
