"""ResNet-50 v2, the residual network of the second kind that recipe D trains."""

from __future__ import annotations

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

_BLOCKS = (3, 4, 6, 3)


def build_resnet50v2(
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    stem: str,
    width_multiplier: float,
    initializer: str,
    batch_norm_momentum: float,
    batch_norm_epsilon: float,
    input_size: int | None,
) -> keras.Model:
    """Builds ResNet-50 v2, which normalises before every convolution, and pools its last map.

    He et al. (2016), "Identity Mappings in Deep Residual Networks", in the form of
    ``keras.applications.ResNet50V2``, which recipe D uses: an image is halved in the last block of
    a stage, and the convolutions that no normalisation follows directly have biases. At width 1, 3
    channels and the "imagenet" stem it has 23,564,800 weights, 23,519,360 of them trainable.

    The first thing that it does is to bring its input from [0, 1] to [-1, 1]: the first
    normalisation comes only after stem and max-pooling, whose border of zeros has then the value
    of mid-grey.

    Args:
        image_shape: (H, W, C) of the input, float32 in [0, 1].
        seed: seed of the initial weights.
        stem: "imagenet", a convolution of 7x7 and a max-pooling of 3x3, both of stride 2, for
            images of at least 32x32; or "small", a convolution of 3x3 with stride 1, for images of
            at least 8x8.
        width_multiplier: factor on the channels of every convolution, at least 1/64.
        initializer: see ``twofold.components.encoders.layers.initializers``; "keras" is recipe D's.
        batch_norm_momentum: see ``batch_normalization``.
        batch_norm_epsilon: see ``batch_normalization``.
        input_size: side in pixels that images of any size are resized to, bilinearly and without
            antialiasing (recipe D's 72 of the 32 of CIFAR-10); None: ``image_shape`` is expected.

    Returns:
        A model from [B, H, W, C] to features [B, D] of the compute dtype; D is ``width_multiplier``
        times 2,048.

    Raises:
        ValueError: if the stem is unknown, the image is too small for it, or ``width_multiplier``
            is out of range.

    """
    if input_size is not None:
        image_shape = (input_size, input_size, image_shape[2])
    check_stem("resnet50v2", stem, image_shape)
    stage_channels = scaled_channels(width_multiplier)
    initial = Initializer(initializer, seed)
    norm = batch_normalizations(batch_norm_momentum, batch_norm_epsilon)
    if input_size is None:
        images = resized = keras.Input(image_shape, name="images")
    else:
        images = keras.Input((None, None, image_shape[2]), name="images")
        resized = keras.layers.Resizing(input_size, input_size, name="resize")(images)
    x = keras.layers.Rescaling(2.0, offset=-1.0, name="rescale")(resized)
    x = _stem(x, stem, stage_channels[0], initial)
    for stage, (channels, count) in enumerate(zip(stage_channels, _BLOCKS, strict=True), start=1):
        for index in range(1, count + 1):
            strides = 2 if stage < len(_BLOCKS) and index == count else 1
            x = _block(x, channels, strides, initial, norm, f"stage{stage}_block{index}")
    x = _activated(x, norm, "final_norm", "final")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(images, x, name="resnet50v2")


def _stem(
    x: keras.KerasTensor, stem: str, channels: int, initial: Initializer
) -> keras.KerasTensor:
    if stem == "small":
        return convolution(x, channels, 3, initial, "stem_conv", block="stem", bias=True)
    x = convolution(x, channels, 7, initial, "stem_conv", block="stem", strides=2, bias=True)
    return halving_max_pool(x)


def _block(
    x: keras.KerasTensor,
    channels: int,
    strides: int,
    initial: Initializer,
    norm: NormalizationMaker,
    name: str,
) -> keras.KerasTensor:
    activated = _activated(x, norm, f"{name}_norm0", name)
    if x.shape[-1] != 4 * channels:
        shortcut = convolution(
            activated, 4 * channels, 1, initial, f"{name}_shortcut_conv", block=name, bias=True
        )
    elif strides > 1:
        shortcut = keras.layers.MaxPooling2D(1, strides, padding="same", name=f"{name}_pool")(x)
    else:
        shortcut = x
    y = convolution(activated, channels, 1, initial, f"{name}_conv1", block=name)
    y = _activated(y, norm, f"{name}_norm1", name)
    y = convolution(y, channels, 3, initial, f"{name}_conv2", block=name, strides=strides)
    y = _activated(y, norm, f"{name}_norm2", name)
    y = convolution(y, 4 * channels, 1, initial, f"{name}_conv3", block=name, bias=True)
    return shortcut + y


def _activated(
    x: keras.KerasTensor, norm: NormalizationMaker, name: str, block: str
) -> keras.KerasTensor:
    return keras.layers.ReLU()(norm(name, block=block)(x))
