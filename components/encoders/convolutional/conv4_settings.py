"""Conv4 settings: the four strided convolutions of recipe A."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    EncoderSettings,
    InitializerName,
)

# Side in pixels of the smallest image of which four convolutions leave a position.
SMALLEST = 31


@ENCODERS.register
class Conv4Settings(EncoderSettings):
    """The four strided convolutions of recipe A."""

    implementation: ClassVar[str] = "twofold.components.encoders.convolutional.conv4:build_conv4"
    name: Literal["conv4"] = "conv4"
    width: int = Field(
        128,
        ge=1,
        description="channels of each convolution, and width of the features",
    )
    initializer: InitializerName = Field("keras", description=INITIALIZER)

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return SMALLEST
