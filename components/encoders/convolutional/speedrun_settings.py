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


def smallest_image(blocks: int) -> int:
    """Returns the side in pixels of the smallest image of which so many blocks leave a position."""
    # The stem takes one pixel away, and each block halves the side.
    smallest: int = 2**blocks + 1
    return smallest


@ENCODERS.register
class SpeedrunSettings(NormalisedSettings):
    """A whitened stem and residual blocks for small photographs, cheap on a CPU."""

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
        return smallest_image(len(self.filters))
