"""Decoder of recipe E's variational autoencoder, the mirror of the encoder ``core``."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from twofold.components.encoders.convolutional.core_settings import mirrored_side, mirrored_sides
from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import batch_normalizations
from twofold.components.encoders.layers.upsampled import UpsampledConv2DTranspose
from twofold.components.errors import SettingsError

_KERNEL = 5


def build_decoder(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    latent: int,
    filters: Sequence[int],
    units: Sequence[int] = (84, 120),
    initializer: str = "pytorch",
    batch_norm_momentum: float = 0.9,
    batch_norm_epsilon: float = 1e-5,
) -> keras.Model:
    """Builds dense layers, then nearest upsampling and transposed convolutions of 5x5 in turn.

    Each of ``units`` is Dense, ReLU, BN; a further Dense with ReLU fills the last map of ``core``
    for the same ``filters`` (2,704 = 13x13x16 at 64x64). Each step up is BN, upsampling by 2 and a
    transposed convolution, with ReLU between the steps. No BN has scale or offset. The recipe has
    BN after the upsampling, which is the same: repeating pixels changes neither mean nor variance.

    Only sizes that ``core`` halves without a remainder are taken, since a picture must come back
    at its own size: 4m + 12 pixels for two convolutions (16, 20, ..., 64, ..., 96, ...).

    Args:
        image_shape: (H, W, C) of the images to rebuild.
        seed: seed of the initial weights.
        latent: L, the width of the code.
        filters: channels of ``core``'s convolutions, from image to features.
        units: widths of the dense layers, from code to map.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from codes [B, L] to logits [B, H, W, C] of the compute dtype.

    Raises:
        SettingsError: if a height or width is not one that ``core`` halves without a remainder.

    """
    height, width = (_mirrored(side, len(filters), image_shape) for side in image_shape[:2])
    # Seeds apart from the encoder's and the heads'.
    initial = Initializer(initializer, seed + 800_000)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    codes = x = keras.Input((latent,), name="codes")
    for index, count in enumerate(units):
        x = keras.layers.Dense(
            count, activation="relu", name=f"dense{index}", **initial.arguments(x.shape[-1])
        )(x)
        x = norm(f"dense{index}_norm", affine=False)(x)
    x = keras.layers.Dense(
        height * width * filters[-1],
        activation="relu",
        name="map",
        **initial.arguments(x.shape[-1]),
    )(x)
    x = keras.layers.Reshape((height, width, filters[-1]))(x)
    for index, count in enumerate((*reversed(filters[:-1]), image_shape[2])):
        if index > 0:
            x = keras.layers.ReLU()(x)
        x = norm(f"conv{index}_norm", affine=False)(x)
        # PyTorch counts the outputs of a transposed convolution as its fan-in.
        fan_in = _KERNEL**2 * count
        x = UpsampledConv2DTranspose(
            count, _KERNEL, name=f"conv{index}", **initial.arguments(fan_in)
        )(x)
    return keras.Model(codes, x, name="decoder")


def _mirrored(side: int, steps: int, image_shape: tuple[int, int, int]) -> int:
    """Returns the side of the last map of ``core`` on images of this side."""
    last = mirrored_side(side, steps)
    if last is None:
        raise SettingsError(
            f"the decoder with {steps} convolutions rebuilds only images whose height and width "
            f"are among {mirrored_sides(steps)}, received {image_shape[0]}x{image_shape[1]}"
        )
    return last
