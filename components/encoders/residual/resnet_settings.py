"""ResNet settings."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    InitializerName,
    NormalisedSettings,
)

_ROOM = "twofold.components.encoders.residual"


class ResNetSettings(NormalisedSettings):
    """What residual networks have in common."""

    name: str
    stem: Literal["imagenet", "small"] = Field(
        "imagenet", description="small: 3x3 without pooling, for images of about 32 pixels"
    )
    width_multiplier: float = Field(
        1.0, gt=0.0, description="factor on the channels of every layer"
    )
    initializer: InitializerName = Field("he", description=INITIALIZER)


@ENCODERS.register
class ResNet18Settings(ResNetSettings):
    """ResNet-18 (He et al., 2016a)."""

    implementation: ClassVar[str] = f"{_ROOM}.resnet:build_resnet18"
    name: Literal["resnet18"] = "resnet18"


@ENCODERS.register
class ResNet34Settings(ResNetSettings):
    """ResNet-34 (He et al., 2016a)."""

    implementation: ClassVar[str] = f"{_ROOM}.resnet:build_resnet34"
    name: Literal["resnet34"] = "resnet34"


@ENCODERS.register
class ResNet50Settings(ResNetSettings):
    """ResNet-50 (He et al., 2016a)."""

    implementation: ClassVar[str] = f"{_ROOM}.resnet:build_resnet50"
    name: Literal["resnet50"] = "resnet50"


@ENCODERS.register
class ResNet50V2Settings(ResNetSettings):
    """ResNet-50 with pre-activation (He et al., 2016b)."""

    implementation: ClassVar[str] = f"{_ROOM}.resnet50v2:build_resnet50v2"
    name: Literal["resnet50v2"] = "resnet50v2"
    input_size: int | None = Field(
        None,
        ge=8,
        description="side in pixels that images and views of another size are resized to; null: "
        "they are taken as they are",
    )

    @property
    def patch_side(self) -> int | None:
        """Side in pixels of the views that it takes beside whole images."""
        return self.input_size


@ENCODERS.register
class ResNet34PublishedSettings(NormalisedSettings):
    """The ResNet-34 of recipe C, whose features are flattened."""

    implementation: ClassVar[str] = f"{_ROOM}.resnet34_published:build_resnet34_published"
    name: Literal["resnet34_published"] = "resnet34_published"
    pool_strides: Literal[1, 2] = Field(
        2, description="stride in positions of the last pooling, which is 2x2; published: 2"
    )
    initializer: InitializerName = Field("keras", description=INITIALIZER)
