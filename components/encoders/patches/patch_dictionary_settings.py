"""Patch-dictionary settings: the layer that compares patches with a dictionary of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    InitializerName,
    NormalisedSettings,
)


def smallest_image(patch: int, stride: int, grid: int) -> int:
    """Returns the side in pixels of the smallest image with a patch for each part of the grid."""
    return patch + (grid - 1) * stride


@ENCODERS.register
class PatchDictionarySettings(NormalisedSettings):
    """One layer: how much of each patch of a dictionary there is in each part of the image."""

    implementation: ClassVar[str] = (
        "twofold.components.encoders.patches.patch_dictionary:build_patch_dictionary"
    )
    learns_dictionary: ClassVar[bool] = True
    name: Literal["patch_dictionary"] = "patch_dictionary"
    patch: int = Field(6, ge=2, description="side of a patch in pixels")
    stride: int = Field(1, ge=1, description="pixels from one patch to the next")
    atoms: int = Field(800, ge=1, description="patches in the dictionary")
    threshold: float = Field(
        0.25, ge=0.0, description="what a patch's product with an atom must exceed"
    )
    grid: int = Field(3, ge=1, description="parts of the image along each side")
    mirrored: bool = Field(True, description="give an image and its mirror image the same features")
    initializer: InitializerName = Field("he", description=INITIALIZER)

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that have a patch for each part of the grid."""
        return smallest_image(self.patch, self.stride, self.grid)
