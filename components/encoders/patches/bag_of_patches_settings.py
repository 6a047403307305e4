"""Bag-of-patches settings: a small residual network of patches."""

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
class BagOfPatchesSettings(NormalisedSettings):
    """A small residual network of patches; an image's features are their mean."""

    implementation: ClassVar[str] = (
        "twofold.components.encoders.patches.bag_of_patches:build_bag_of_patches"
    )
    name: Literal["bag_of_patches"] = "bag_of_patches"
    patch: int = Field(16, ge=1, description="side of a patch in pixels")
    stride: int = Field(
        8, ge=1, description="pixels from one patch to the next, at most the side of a patch"
    )
    filters: Widths = Field(
        (32, 64, 128, 256), description="channels of the stem and of each block"
    )
    features: int = Field(1024, ge=1, description="width of the features")
    initializer: InitializerName = Field("he", description=INITIALIZER)

    @property
    def patch_side(self) -> int:
        """Side in pixels of a patch, the smallest image that it takes."""
        return self.patch
