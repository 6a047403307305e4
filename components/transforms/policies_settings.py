"""View policies: their settings, with the published values as defaults."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.settings import Range, RangeFromZero, Share
from twofold.components.transforms.settings import VIEWS, ViewsSettings

_POLICIES = "twofold.components.transforms.policies"

_AREA = "share of the image's area that is cropped"
_ASPECT = "width over height of the crop, as shares of the image's sides"
_PROBABILITY = "probability of an image"
_SHIFT = "largest shift of the values of [0, 1]"
_FACTOR = "largest departure of the factor from 1"
_HUE = "largest shift of the hue in turns of the colour circle"
_SIGMA = "standard deviation of the blur in pixels"
_BLUR_SHARE = "size of the blur's kernel over the image's shorter side"
_SOLARISE = "values above it are inverted"
_STRENGTH = "factor on the ranges of the colour jitter"
_MATRIX = "largest entry of the random matrix that mixes the colours"


@VIEWS.register
class NoViewsSettings(ViewsSettings):
    """The image as it is."""

    implementation: ClassVar[str] = f"{_POLICIES}:none"
    policy: Literal["none"] = "none"


@VIEWS.register
class AffineViewsSettings(ViewsSettings):
    """Rotation, translation, scaling (recipe E)."""

    implementation: ClassVar[str] = f"{_POLICIES}:affine"
    policy: Literal["affine"] = "affine"
    rotation_degrees: float = Field(
        90.0, ge=0.0, le=180.0, description="largest angle either way in degrees"
    )
    translation: Share = Field(
        0.2, description="largest shift along each axis as a share of the side"
    )
    scale: Range = Field((0.8, 1.2), description="magnification")
    border: Literal["zero", "wrap"] = Field(
        "zero", description="what lies outside the image: zeros, or the opposite side"
    )
    interpolation: Literal["bilinear", "nearest"] = Field(
        "bilinear", description="between pixels; nearest keeps binary images binary"
    )


@VIEWS.register
class CropViewsSettings(ViewsSettings):
    """Random resized crop, flip, colour affine map."""

    implementation: ClassVar[str] = f"{_POLICIES}:crop"
    policy: Literal["crop"] = "crop"
    area: Range = Field((0.2, 1.0), description=_AREA)
    aspect: Range = Field((3 / 4, 4 / 3), description=_ASPECT)
    flip: bool = Field(True, description="mirror half of the images left to right")
    brightness: Share = Field(0.6, description=_FACTOR)
    jitter: Share = Field(0.2, description=_MATRIX)


@VIEWS.register
class SimCLRStrongViewsSettings(ViewsSettings):
    """Flip, translation, zoom, colour affine map (recipe A, for the contrastive loss)."""

    implementation: ClassVar[str] = f"{_POLICIES}:simclr_keras"
    policy: Literal["simclr_strong"] = "simclr_strong"
    min_area: float = Field(
        0.25, gt=0.0, le=1.0, description="least share of the image's area that is seen"
    )
    brightness: Share = Field(0.6, description=_FACTOR)
    jitter: Share = Field(0.2, description=_MATRIX)


@VIEWS.register
class SimCLRWeakViewsSettings(SimCLRStrongViewsSettings):
    """The same with smaller ranges (recipe A, for the probe)."""

    policy: Literal["simclr_weak"] = "simclr_weak"  # type: ignore[assignment]
    min_area: float = Field(
        0.75, gt=0.0, le=1.0, description="least share of the image's area that is seen"
    )
    brightness: Share = Field(0.3, description=_FACTOR)
    jitter: Share = Field(0.1, description=_MATRIX)


@VIEWS.register
class NNCLRViewsSettings(ViewsSettings):
    """Flip, random resized crop, brightness (recipe B, for the contrastive loss)."""

    implementation: ClassVar[str] = f"{_POLICIES}:nnclr"
    policy: Literal["nnclr"] = "nnclr"
    area: Range = Field((0.2, 1.0), description=_AREA)
    aspect: Range = Field((3 / 4, 4 / 3), description=_ASPECT)
    brightness: Share = Field(0.5, description=_SHIFT)


@VIEWS.register
class NNCLRWeakViewsSettings(NNCLRViewsSettings):
    """The same with smaller ranges (recipe B, for the probe)."""

    policy: Literal["nnclr_weak"] = "nnclr_weak"  # type: ignore[assignment]
    area: Range = Field((0.5, 1.0), description=_AREA)
    brightness: Share = Field(0.2, description=_SHIFT)


@VIEWS.register
class BarlowViewsSettings(ViewsSettings):
    """Crop, flip, jitter, blur, grey, solarise (recipe C)."""

    implementation: ClassVar[str] = f"{_POLICIES}:barlow"
    policy: Literal["barlow"] = "barlow"
    crop: Range = Field(
        (24 / 32, 31 / 32), description="side of the crop as a share of the image's"
    )
    jitter_probability: Share = Field(0.8, description=_PROBABILITY)
    brightness: Share = Field(0.8, description=_SHIFT)
    contrast: Share = Field(0.6, description=_FACTOR)
    saturation: Share = Field(0.6, description=_FACTOR)
    hue: float = Field(0.2, ge=0.0, le=0.5, description=_HUE)
    blur_probability: Share = Field(0.2, description=_PROBABILITY)
    blur_size: int = Field(3, ge=1, description="taps of the blur's kernel, an odd number")
    sigma: RangeFromZero = Field((0.0, 1.0), description=_SIGMA)
    grey_probability: Share = Field(0.2, description=_PROBABILITY)
    solarise_probability: Share = Field(0.2, description=_PROBABILITY)
    solarise_threshold: Share = Field(0.5, description=_SOLARISE)


@VIEWS.register
class SimCLRImageNetViewsSettings(ViewsSettings):
    """The views of the SimCLR paper, appendix A."""

    implementation: ClassVar[str] = f"{_POLICIES}:simclr_imagenet"
    policy: Literal["simclr_imagenet"] = "simclr_imagenet"
    area: Range = Field((0.08, 1.0), description=_AREA)
    aspect: Range = Field((3 / 4, 4 / 3), description=_ASPECT)
    strength: float = Field(1.0, ge=0.0, le=2.5, description=_STRENGTH)
    jitter_probability: Share = Field(0.8, description=_PROBABILITY)
    grey_probability: Share = Field(0.2, description=_PROBABILITY)
    blur_probability: Share = Field(0.5, description=_PROBABILITY)
    sigma: RangeFromZero = Field((0.1, 2.0), description=_SIGMA)
    blur_share: Share = Field(0.1, description=_BLUR_SHARE)


@VIEWS.register
class BYOLAViewsSettings(ViewsSettings):
    """The first view of the BYOL paper, table 6."""

    implementation: ClassVar[str] = f"{_POLICIES}:byol"
    policy: Literal["byol_a"] = "byol_a"
    area: Range = Field((0.08, 1.0), description=_AREA)
    aspect: Range = Field((3 / 4, 4 / 3), description=_ASPECT)
    jitter_probability: Share = Field(0.8, description=_PROBABILITY)
    brightness: Share = Field(0.4, description=_SHIFT)
    contrast: Share = Field(0.4, description=_FACTOR)
    saturation: Share = Field(0.2, description=_FACTOR)
    hue: float = Field(0.1, ge=0.0, le=0.5, description=_HUE)
    grey_probability: Share = Field(0.2, description=_PROBABILITY)
    blur_probability: Share = Field(1.0, description=_PROBABILITY)
    sigma: RangeFromZero = Field((0.1, 2.0), description=_SIGMA)
    blur_share: Share = Field(0.1, description=_BLUR_SHARE)
    solarise_probability: Share = Field(0.0, description=_PROBABILITY)
    solarise_threshold: Share = Field(0.5, description=_SOLARISE)


@VIEWS.register
class BYOLBViewsSettings(BYOLAViewsSettings):
    """The second view of the BYOL paper, table 6: rare blur, and solarisation."""

    policy: Literal["byol_b"] = "byol_b"  # type: ignore[assignment]
    blur_probability: Share = Field(0.1, description=_PROBABILITY)
    solarise_probability: Share = Field(0.2, description=_PROBABILITY)


@VIEWS.register
class PatchesViewsSettings(ViewsSettings):
    """Small crops for encoders of patches, then SimCLR's jitter and grey."""

    implementation: ClassVar[str] = f"{_POLICIES}:patches"
    policy: Literal["patches"] = "patches"
    side: int = Field(16, ge=1, description="of the views in pixels")
    area: Range = Field((0.2, 0.6), description=_AREA)
    aspect: Range = Field((3 / 4, 4 / 3), description=_ASPECT)
    jitter_probability: Share = Field(0.8, description=_PROBABILITY)
    strength: float = Field(1.0, ge=0.0, le=2.5, description=_STRENGTH)
    grey_probability: Share = Field(0.2, description=_PROBABILITY)

    @property
    def patch_side(self) -> int:
        """Side of the views in pixels."""
        return self.side


_CROP = "side of the crop as a share of the image's"


@VIEWS.register
class ConsistencyViewsSettings(ViewsSettings):
    """Flip and crop (recipe D's clean view)."""

    implementation: ClassVar[str] = f"{_POLICIES}:consistency"
    policy: Literal["consistency"] = "consistency"
    crop: float = Field(0.75, gt=0.01, le=1.0, description=_CROP)


@VIEWS.register
class RandAugmentViewsSettings(ViewsSettings):
    """Flip, crop, RandAugment (recipe D's noisy view)."""

    implementation: ClassVar[str] = f"{_POLICIES}:randaugment"
    policy: Literal["randaugment"] = "randaugment"
    crop: float = Field(0.75, gt=0.01, le=1.0, description=_CROP)
    layers: int = Field(2, ge=1, description="operations that an image passes")
    magnitude: int = Field(9, ge=0, le=30, description="strength of the operations")
