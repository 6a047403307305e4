"""Bag-of-patches settings: a small residual network of patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import pydantic
from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    InitializerName,
    NormalisedSettings,
)
from twofold.components.errors import SettingsError
from twofold.components.settings import Widths


def check_patches(patch: int, stride: int, filters: Sequence[int]) -> None:
    """Refuses patches that the blocks cannot halve, or between which pixels are not seen.

    Raises:
        SettingsError: saying what was expected.

    """
    if not filters:
        raise SettingsError(
            "the encoder bag_of_patches needs filters for its first convolution, received none"
        )
    if patch < 2 ** (len(filters) - 1):
        raise SettingsError(
            f"the encoder bag_of_patches halves a patch {len(filters) - 1} times: expected a patch "
            f"of at least {2 ** (len(filters) - 1)} pixels, received {patch}"
        )
    if stride > patch:
        raise SettingsError(
            f"the encoder bag_of_patches would not see what lies between patches: expected a "
            f"stride of at most the patch's {patch} pixels, received {stride}"
        )


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

    @pydantic.model_validator(mode="after")
    def _possible(self) -> BagOfPatchesSettings:
        check_patches(self.patch, self.stride, self.filters)
        return self

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return self.patch

    @property
    def patch_side(self) -> int:
        """Side in pixels of a patch, the smallest image that it takes."""
        return self.patch
