"""Conv4 encoder: the four strided convolutions of recipe A (keras.io, semi-supervised SimCLR)."""

from __future__ import annotations

import keras

from twofold.components.encoders.convolutional.conv4_settings import SMALLEST
from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.settings import check_image_size


def build_conv4(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    width: int,
    initializer: str,
) -> keras.Model:
    """Builds 4 x [Conv 3x3, stride 2, valid, ReLU], then Flatten and Dense with ReLU.

    At 96x96x3 and width 128 it has 856,064 weights.

    Args:
        image_shape: (H, W, C) of the input, float32 in [0, 1]; H and W at least 31.
        seed: seed of the initial weights.
        width: channels of every convolution, and the feature width D.
        initializer: see ``twofold.components.encoders.layers.initializers``.

    Returns:
        A model from [B, H, W, C] to features [B, width].

    Raises:
        SettingsError: if the image is too small.

    """
    check_image_size("conv4", SMALLEST, *image_shape[:2])
    initial = Initializer(initializer, seed)
    images = x = keras.Input(image_shape, name="images")
    for index in range(4):
        arguments = initial.arguments(9 * x.shape[-1])
        x = keras.layers.Conv2D(
            width, 3, strides=2, activation="relu", name=f"conv{index}", **arguments
        )(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(
        width, activation="relu", name="dense", **initial.arguments(x.shape[-1])
    )(x)
    return keras.Model(images, x, name="conv4")
