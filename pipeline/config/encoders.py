"""The encoders that a run can train."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twofold.components.settings import Section, Widths


class CoreConfig(Section):
    """The small convolutional network of recipe E."""

    name: Literal["core"] = "core"
    filters: Widths = (6, 16)
    units: Widths = (120, 84, 84)
    pooling: Literal["flatten", "average"] = "flatten"
    initializer: Literal["keras", "pytorch", "he"] = "pytorch"


class Conv4Config(Section):
    """The four strided convolutions of recipe A."""

    name: Literal["conv4"] = "conv4"
    width: int = Field(128, ge=1)
    initializer: Literal["keras", "pytorch", "he"] = "keras"


class _ResNetConfig(Section):
    name: str
    stem: Literal["imagenet", "small"] = Field(
        "imagenet", description="small: 3x3 without pooling, for images of about 32 pixels"
    )
    width_multiplier: float = Field(1.0, gt=0.0, description="of the channels of every layer")
    initializer: Literal["keras", "pytorch", "he"] = "he"


class ResNet18Config(_ResNetConfig):
    """ResNet-18 (He et al., 2016a)."""

    name: Literal["resnet18"] = "resnet18"


class ResNet34Config(_ResNetConfig):
    """ResNet-34 (He et al., 2016a)."""

    name: Literal["resnet34"] = "resnet34"


class ResNet50Config(_ResNetConfig):
    """ResNet-50 (He et al., 2016a)."""

    name: Literal["resnet50"] = "resnet50"


class ResNet50V2Config(_ResNetConfig):
    """ResNet-50 with pre-activation (He et al., 2016b)."""

    name: Literal["resnet50v2"] = "resnet50v2"


class ResNet34PublishedConfig(Section):
    """The ResNet-34 of recipe C, whose features are flattened."""

    name: Literal["resnet34_published"] = "resnet34_published"
    pool_strides: Literal[1, 2] = Field(1, description="of the last pooling, 2x2")
    initializer: Literal["keras", "pytorch", "he"] = "keras"


class BagOfPatchesConfig(Section):
    """A small residual network of patches; an image's features are their mean."""

    name: Literal["bag_of_patches"] = "bag_of_patches"
    patch: int = Field(16, ge=1, description="side in pixels")
    stride: int = Field(8, ge=1, description="pixels from one patch to the next")
    filters: Widths = Field((32, 64, 128, 256), description="of the stem and of each block")
    features: int = Field(1024, ge=1, description="width of what it gives")
    initializer: Literal["keras", "pytorch", "he"] = "he"


class PatchDictionaryConfig(Section):
    """One layer: how much of each patch of a dictionary there is in each part of the image."""

    name: Literal["patch_dictionary"] = "patch_dictionary"
    patch: int = Field(6, ge=2, description="side in pixels")
    stride: int = Field(1, ge=1, description="pixels from one patch to the next")
    atoms: int = Field(800, ge=1, description="patches in the dictionary")
    threshold: float = Field(0.25, ge=0.0, description="what a patch's product must exceed")
    grid: int = Field(3, ge=1, description="parts of the image along each side")
    mirrored: bool = Field(True, description="give an image and its mirror image the same features")
    initializer: Literal["keras", "pytorch", "he"] = "he"


EncoderConfig = Annotated[
    CoreConfig
    | Conv4Config
    | ResNet18Config
    | ResNet34Config
    | ResNet50Config
    | ResNet50V2Config
    | ResNet34PublishedConfig
    | BagOfPatchesConfig
    | PatchDictionaryConfig,
    Field(discriminator="name"),
]
