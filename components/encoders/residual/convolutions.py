"""Residual stems and convolutions of both kinds of network, and their checks."""

from __future__ import annotations

import math

import keras

from twofold.components.encoders.layers.blocks import in_block
from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.residual.resnet_settings import FIRST_CHANNELS, STEMS
from twofold.components.encoders.settings import check_image_size
from twofold.components.errors import SettingsError

CHANNELS = tuple(FIRST_CHANNELS * factor for factor in (1, 2, 4, 8))


def check_stem(name: str, stem: str, image_shape: tuple[int, int, int]) -> None:
    """Refuses an unknown stem, or images of which less than one pixel would be left.

    Raises:
        SettingsError: saying the encoder's name, the smallest size and the size received.

    """
    if stem not in STEMS:
        raise SettingsError(
            f"the encoder {name} has no stem {stem!r}: expected one of {', '.join(STEMS)}"
        )
    check_image_size(f'{name} with stem "{stem}"', STEMS[stem], *image_shape[:2])


def scaled_channels(width_multiplier: float) -> tuple[int, ...]:
    """Returns the channels of the four stages, 64 to 512 times ``width_multiplier``, rounded.

    Raises:
        SettingsError: if less than one channel would be left, or the factor is not finite.

    """
    if not 1 / CHANNELS[0] <= width_multiplier < math.inf:
        raise SettingsError(
            f"width_multiplier must be finite and at least 1/{CHANNELS[0]} (one channel), "
            f"received {width_multiplier}"
        )
    return tuple(round(count * width_multiplier) for count in CHANNELS)


def convolution(
    x: keras.KerasTensor,
    channels: int,
    size: int,
    initial: Initializer,
    name: str,
    *,
    block: str,
    strides: int = 1,
    bias: bool = False,
) -> keras.KerasTensor:
    """Applies a convolution that pads both sides alike, so that a stride of 2 halves H and W.

    Args:
        x: [B, H, W, C].
        channels: of the output.
        size: height and width of the kernel, odd.
        initial: gives the initial weights.
        name: name of the layer.
        block: see ``in_block``.
        strides: 1 or 2.
        bias: whether each output channel has a bias.

    """
    padding = "same"
    if strides > 1 and size > 1:
        # "same" would pad even sizes on the far side only, unlike the published networks.
        x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    layer = keras.layers.Conv2D(
        channels,
        size,
        strides=strides,
        padding=padding,
        use_bias=bias,
        name=name,
        **initial.arguments(size * size * x.shape[-1]),
    )
    return in_block(block, layer)(x)


def halving_max_pool(x: keras.KerasTensor) -> keras.KerasTensor:
    """Pools 3x3 maxima with stride 2, with a border of zeros as in the published networks."""
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    return keras.layers.MaxPooling2D(3, 2, name="stem_pool")(x)
