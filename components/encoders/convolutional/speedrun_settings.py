"""Speedrun settings: a small residual network after those of the CIFAR-10 speed runs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    InitializerName,
    NormalisedSettings,
)
from twofold.components.settings import Widths


@ENCODERS.register
class SpeedrunSettings(NormalisedSettings):
    """A whitened stem and residual blocks for small photographs, cheap on a processor."""

    implementation: ClassVar[str] = (
        "twofold.components.encoders.convolutional.speedrun:build_speedrun"
    )
    name: Literal["speedrun"] = "speedrun"
    filters: Widths = Field(
        (64, 160, 256),
        description="channels of each block; features are twice as many as the last",
    )
    mirrored: bool = Field(
        True,
        description="outside training, give the mean of an image's and its mirror image's features",
    )
    initializer: InitializerName = Field("he", description=INITIALIZER)

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return self.patch_side

    @property
    def patch_side(self) -> int:
        """Side in pixels of the smallest views that it takes beside whole images."""
        smallest: int = 2 ** len(self.filters) + 1
        return smallest
