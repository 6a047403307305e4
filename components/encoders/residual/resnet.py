"""ResNet-18, ResNet-34 and ResNet-50, residual networks of the first kind."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from twofold.components.encoders.layers.initializers import Initializer
from twofold.components.encoders.layers.normalisation import (
    NormalizationMaker,
    batch_normalizations,
)
from twofold.components.encoders.residual.convolutions import (
    check_stem,
    convolution,
    halving_max_pool,
    scaled_channels,
)


@dataclass(frozen=True)
class _Architecture:
    blocks: Sequence[int]
    bottleneck: bool


RESNETS = {
    "resnet18": _Architecture((2, 2, 2, 2), bottleneck=False),
    "resnet34": _Architecture((3, 4, 6, 3), bottleneck=False),
    "resnet50": _Architecture((3, 4, 6, 3), bottleneck=True),
}


def build_resnet(
    name: str,
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    stem: str,
    width_multiplier: float,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
) -> keras.Model:
    """Builds a residual network that normalises after every convolution, and pools its last map.

    He et al. (2016), "Deep Residual Learning for Image Recognition", table 1. ResNet-50 halves the
    image in the 3x3 convolution of a block, not in the 1x1 before it, as torchvision does ("v1.5");
    the weights are as many. No convolution has a bias. At width 1, 3 channels and the "imagenet"
    stem, the trainable weights are those of torchvision's networks without the classifier:
    11,176,512 (18 layers), 21,284,672 (34) and 23,508,032 (50).

    Args:
        name: a key of ``RESNETS``.
        image_shape: (H, W, C) of the input, float32 in [0, 1].
        seed: seed of the initial weights.
        stem: "imagenet", a convolution of 7x7 and a max-pooling of 3x3, both of stride 2, for
            images of at least 32x32; or "small", a convolution of 3x3 with stride 1, for images of
            at least 8x8 (Chen et al., 2020, "A Simple Framework for Contrastive Learning of Visual
            Representations", appendix B.9).
        width_multiplier: factor on the channels of every convolution, at least 1/64.
        initializer: see ``twofold.components.encoders.layers.initializers``.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.

    Returns:
        A model from [B, H, W, C] to features [B, D] of the compute dtype; D is ``width_multiplier``
        times 512, or 2,048 for ResNet-50.

    Raises:
        ValueError: if the stem is unknown, the image is too small for it, or ``width_multiplier``
            is out of range.

    """
    check_stem(name, stem, image_shape)
    stage_channels = scaled_channels(width_multiplier)
    architecture = RESNETS[name]
    block = _bottleneck_block if architecture.bottleneck else _basic_block
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    images = keras.Input(image_shape, name="images")
    x = _stem(images, stem, stage_channels[0], initial, norm)
    for stage, (channels, count) in enumerate(
        zip(stage_channels, architecture.blocks, strict=True), start=1
    ):
        for index in range(1, count + 1):
            strides = 2 if stage > 1 and index == 1 else 1
            x = block(x, channels, strides, initial, norm, f"stage{stage}_block{index}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, x, name=name)


build_resnet18 = functools.partial(build_resnet, "resnet18")
build_resnet34 = functools.partial(build_resnet, "resnet34")
build_resnet50 = functools.partial(build_resnet, "resnet50")


def _stem(
    images: keras.KerasTensor,
    stem: str,
    channels: int,
    initial: Initializer,
    norm: NormalizationMaker,
) -> keras.KerasTensor:
    if stem == "small":
        x = convolution(images, channels, 3, initial, "stem_conv", block="stem")
    else:
        x = convolution(images, channels, 7, initial, "stem_conv", block="stem", strides=2)
    x = _rectified(norm("stem_norm", block="stem")(x))
    return x if stem == "small" else halving_max_pool(x)


def _basic_block(
    x: keras.KerasTensor,
    channels: int,
    strides: int,
    initial: Initializer,
    norm: NormalizationMaker,
    name: str,
) -> keras.KerasTensor:
    y = convolution(x, channels, 3, initial, f"{name}_conv1", block=name, strides=strides)
    y = _rectified(norm(f"{name}_norm1", block=name)(y))
    y = convolution(y, channels, 3, initial, f"{name}_conv2", block=name)
    y = norm(f"{name}_norm2", block=name)(y)
    return _rectified(y + _shortcut(x, channels, strides, initial, norm, name))


def _bottleneck_block(
    x: keras.KerasTensor,
    channels: int,
    strides: int,
    initial: Initializer,
    norm: NormalizationMaker,
    name: str,
) -> keras.KerasTensor:
    y = convolution(x, channels, 1, initial, f"{name}_conv1", block=name)
    y = _rectified(norm(f"{name}_norm1", block=name)(y))
    y = convolution(y, channels, 3, initial, f"{name}_conv2", block=name, strides=strides)
    y = _rectified(norm(f"{name}_norm2", block=name)(y))
    y = convolution(y, 4 * channels, 1, initial, f"{name}_conv3", block=name)
    y = norm(f"{name}_norm3", block=name)(y)
    return _rectified(y + _shortcut(x, 4 * channels, strides, initial, norm, name))


def _shortcut(
    x: keras.KerasTensor,
    channels: int,
    strides: int,
    initial: Initializer,
    norm: NormalizationMaker,
    name: str,
) -> keras.KerasTensor:
    if strides == 1 and x.shape[-1] == channels:
        return x
    x = convolution(x, channels, 1, initial, f"{name}_shortcut_conv", block=name, strides=strides)
    return norm(f"{name}_shortcut_norm", block=name)(x)


def _rectified(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.ReLU()(x)
