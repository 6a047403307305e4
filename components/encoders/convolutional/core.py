"""Core encoder: the small convolutional network of recipe E (Neuromatch's tutorial)."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from twofold.components.encoders.convolutional.core_settings import smallest_image
from twofold.components.encoders.layers.blocks import in_block
from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import batch_normalizations
from twofold.components.encoders.settings import check_image_size
from twofold.components.errors import SettingsError


def build_core(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    filters: Sequence[int],
    units: Sequence[int],
    pooling: str,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
) -> keras.Model:
    """Builds convolutions of 5x5 with average pooling, then dense layers, all batch-normalised.

    Each block is Conv 5x5 (valid), ReLU, AvgPool 2, BN; each dense layer is Dense, ReLU, BN. No BN
    has scale or offset, and its statistics run over the global batch on any number of replicas.

    Args:
        image_shape: (H, W, C) of the input, float32 in [0, 1].
        seed: seed of the initial weights.
        filters: channels of each convolution.
        units: widths of the dense layers; the last is the feature width D.
        pooling: what joins the two parts: "flatten" as published, or "average" over all positions.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, H, W, C] to features [B, D].

    Raises:
        SettingsError: if the image is too small for the convolutions, or ``pooling`` is unknown.

    """
    if pooling not in ("flatten", "average"):
        raise SettingsError(f'pooling must be "flatten" or "average", received {pooling!r}')
    blocks = len(filters)
    check_image_size(f"core with {blocks} convolutions", smallest_image(blocks), *image_shape[:2])
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    images = x = keras.Input(image_shape, name="images")
    for index, count in enumerate(filters):
        fan_in = 25 * x.shape[-1]
        block = f"conv{index}"
        layer = keras.layers.Conv2D(count, 5, name=block, **initial.arguments(fan_in))
        x = in_block(block, layer)(x)
        x = keras.layers.AveragePooling2D(2)(keras.layers.ReLU()(x))
        x = norm(f"{block}_norm", affine=False, block=block)(x)
    x = (
        keras.layers.Flatten(name=pooling)(x)
        if pooling == "flatten"
        else keras.layers.GlobalAveragePooling2D(name=pooling)(x)
    )
    for index, count in enumerate(units):
        block = f"dense{index}"
        layer = keras.layers.Dense(count, name=block, **initial.arguments(x.shape[-1]))
        x = keras.layers.ReLU()(in_block(block, layer)(x))
        x = norm(f"{block}_norm", affine=False, block=block)(x)
    return keras.Model(images, x, name="core")
