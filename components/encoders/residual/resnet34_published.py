"""ResNet-34 of recipe C (keras.io, Barlow Twins)."""

from __future__ import annotations

import keras

from twofold.components.encoders.layers.blocks import in_block
from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import (
    NormalizationMaker,
    batch_normalizations,
)
from twofold.components.encoders.residual.resnet_settings import SMALLEST_PUBLISHED
from twofold.components.encoders.settings import check_image_size
from twofold.components.errors import SettingsError

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


def build_resnet34_published(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    pool_strides: int,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
) -> keras.Model:
    """Builds recipe C's ResNet-34, which departs from He et al. (2016) in several places.

    A border of 3 zeros, then a convolution of 7x7 and a max-pooling of 3x3, both of stride 2; all
    padding is "same". Every convolution has a bias, and no normalisation follows the shortcut's.
    The last map is pooled 2x2 and flattened, not averaged.

    At 32x32 the maps are 38, 19, 10, 10, 5, 3 and 2 pixels a side. The published pooling has a
    stride of 2, which leaves 512 features; 1 keeps the size of the last map, for 2,048. With 3
    channels it has 21,306,624 weights, 21,291,392 of them trainable.

    Args:
        image_shape: (H, W, C) of the input, float32 in [0, 1]; H and W at least 27.
        seed: seed of the initial weights.
        pool_strides: of the last pooling, 1 or 2.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, H, W, C] to features [B, D] of the compute dtype, D being 512 times the
        positions after the pooling.

    Raises:
        SettingsError: if the last map is smaller than the pooling's 2x2, or ``pool_strides`` is
            neither 1 nor 2.

    """
    if pool_strides not in (1, 2):
        raise SettingsError(f"pool_strides must be 1 or 2, received {pool_strides}")
    check_image_size("resnet34_published", SMALLEST_PUBLISHED, *image_shape[:2])
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    images = keras.Input(image_shape, name="images")
    x = keras.layers.ZeroPadding2D(3, name="stem_pad")(images)
    x = _convolution(x, _STAGES[0][0], 7, 2, initial, "stem_conv", block="stem")
    x = keras.layers.ReLU()(norm("stem_norm", block="stem")(x))
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage, (channels, count) in enumerate(_STAGES, start=1):
        for index in range(1, count + 1):
            strides = 2 if stage > 1 and index == 1 else 1
            x = _block(x, channels, strides, initial, norm, f"stage{stage}_block{index}")
    x = keras.layers.AveragePooling2D(2, pool_strides, padding="same", name="pool")(x)
    x = keras.layers.Flatten()(x)
    return keras.Model(images, x, name="resnet34_published")


def _block(
    x: keras.KerasTensor,
    channels: int,
    strides: int,
    initial: Initializer,
    norm: NormalizationMaker,
    name: str,
) -> keras.KerasTensor:
    y = _convolution(x, channels, 3, strides, initial, f"{name}_conv1", block=name)
    y = keras.layers.ReLU()(norm(f"{name}_norm1", block=name)(y))
    y = _convolution(y, channels, 3, 1, initial, f"{name}_conv2", block=name)
    y = norm(f"{name}_norm2", block=name)(y)
    if strides > 1:
        x = _convolution(x, channels, 1, strides, initial, f"{name}_shortcut_conv", block=name)
    return keras.layers.ReLU()(x + y)


def _convolution(
    x: keras.KerasTensor,
    channels: int,
    size: int,
    strides: int,
    initial: Initializer,
    name: str,
    *,
    block: str,
) -> keras.KerasTensor:
    arguments = initial.arguments(size * size * x.shape[-1])
    layer = keras.layers.Conv2D(
        channels, size, strides=strides, padding="same", name=name, **arguments
    )
    return in_block(block, layer)(x)
