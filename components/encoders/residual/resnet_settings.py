"""ResNet settings."""

from __future__ import annotations

from typing import ClassVar, Literal

import pydantic
from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    InitializerName,
    NormalisedSettings,
)

# By how much each stem, and the three strided stages after it, shrink an image: side in pixels of
# the smallest that it takes.
STEMS = {"imagenet": 32, "small": 8}
# Of ``resnet34_published``, whose last map is pooled 2x2.
SMALLEST_PUBLISHED = 27
# Channels of the first stage, of which the narrowest network keeps one.
FIRST_CHANNELS = 64
_ROOM = "twofold.components.encoders.residual"


class ResNetSettings(NormalisedSettings):
    """What residual networks have in common."""

    name: str
    stem: Literal["imagenet", "small"] = Field(
        "imagenet", description="small: 3x3 without pooling, for images of about 32 pixels"
    )
    width_multiplier: float = Field(
        1.0,
        ge=1 / FIRST_CHANNELS,
        description="factor on the channels of every layer, of the first of 64",
    )
    initializer: InitializerName = Field("he", description=INITIALIZER)

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return STEMS[self.stem]


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

    @pydantic.model_validator(mode="after")
    def _fits_stem(self) -> ResNet50V2Settings:
        if self.input_size is not None and self.input_size < STEMS[self.stem]:
            raise ValueError(
                f"encoder.input_size={self.input_size}: encoder.stem={self.stem} needs images of "
                f"at least {STEMS[self.stem]}x{STEMS[self.stem]}"
            )
        return self

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return super().smallest_image if self.input_size is None else 1

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

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return SMALLEST_PUBLISHED
