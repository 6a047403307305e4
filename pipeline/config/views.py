"""View policies: settings of ``components.transforms.policies``, with the same defaults."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from twofold.components.settings import Range, RangeFromZero, Section, Share


class NoViewsConfig(Section):
    """The image as it is."""

    policy: Literal["none"] = "none"


class AffineViewsConfig(Section):
    """Rotation, translation, scaling (recipe E)."""

    policy: Literal["affine"] = "affine"
    rotation_degrees: float = Field(90.0, ge=0.0, le=180.0)
    translation: float = Field(0.2, ge=0.0, le=1.0, description="share of the side")
    scale: Range = (0.8, 1.2)
    border: Literal["zero", "wrap"] = "zero"
    interpolation: Literal["bilinear", "nearest"] = "bilinear"


class CropViewsConfig(Section):
    """Random resized crop, flip, colour affine map."""

    policy: Literal["crop"] = "crop"
    area: Range = (0.2, 1.0)
    aspect: Range = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: Share = 0.6
    jitter: Share = 0.2


class SimCLRStrongViewsConfig(Section):
    """Flip, translation, zoom, colour affine map (recipe A, for the contrastive loss)."""

    policy: Literal["simclr_strong"] = "simclr_strong"
    min_area: float = Field(0.25, gt=0.0, le=1.0)
    brightness: Share = 0.6
    jitter: Share = 0.2


class SimCLRWeakViewsConfig(Section):
    """The same with smaller ranges (recipe A, for the probe)."""

    policy: Literal["simclr_weak"] = "simclr_weak"
    min_area: float = Field(0.75, gt=0.0, le=1.0)
    brightness: Share = 0.3
    jitter: Share = 0.1


class NNCLRViewsConfig(Section):
    """Flip, random resized crop, brightness (recipe B, for the contrastive loss)."""

    policy: Literal["nnclr"] = "nnclr"
    area: Range = (0.2, 1.0)
    aspect: Range = (3 / 4, 4 / 3)
    brightness: Share = 0.5


class NNCLRWeakViewsConfig(Section):
    """The same with smaller ranges (recipe B, for the probe)."""

    policy: Literal["nnclr_weak"] = "nnclr_weak"
    area: Range = (0.5, 1.0)
    aspect: Range = (3 / 4, 4 / 3)
    brightness: Share = 0.2


class BarlowViewsConfig(Section):
    """Crop, flip, jitter, blur, grey, solarise (recipe C)."""

    policy: Literal["barlow"] = "barlow"
    crop: Range = Field((24 / 32, 31 / 32), description="share of the side")
    jitter_probability: Share = 0.8
    brightness: Share = Field(0.8, description="a shift")
    contrast: Share = 0.6
    saturation: Share = 0.6
    hue: float = Field(0.2, ge=0.0, le=0.5)
    blur_probability: Share = 0.2
    blur_size: int = Field(3, ge=1, description="taps, an odd number")
    sigma: RangeFromZero = Field((0.0, 1.0), description="pixels")
    grey_probability: Share = 0.2
    solarise_probability: Share = 0.2
    solarise_threshold: Share = 0.5


class SimCLRImageNetViewsConfig(Section):
    """The views of the SimCLR paper, appendix A."""

    policy: Literal["simclr_imagenet"] = "simclr_imagenet"
    area: Range = (0.08, 1.0)
    aspect: Range = (3 / 4, 4 / 3)
    strength: float = Field(1.0, ge=0.0, le=2.5)
    jitter_probability: Share = 0.8
    grey_probability: Share = 0.2
    blur_probability: Share = 0.5
    sigma: RangeFromZero = Field((0.1, 2.0), description="pixels")
    blur_share: Share = Field(0.1, description="the kernel's size over the image's")


class _BYOLViewsConfig(Section):
    policy: str
    area: Range = (0.08, 1.0)
    aspect: Range = (3 / 4, 4 / 3)
    jitter_probability: Share = 0.8
    brightness: Share = Field(0.4, description="a shift")
    contrast: Share = 0.4
    saturation: Share = 0.2
    hue: float = Field(0.1, ge=0.0, le=0.5)
    grey_probability: Share = 0.2
    blur_probability: Share = 1.0
    sigma: RangeFromZero = Field((0.1, 2.0), description="pixels")
    blur_share: Share = Field(0.1, description="the kernel's size over the image's")
    solarise_probability: Share = 0.0
    solarise_threshold: Share = 0.5


class BYOLAViewsConfig(_BYOLViewsConfig):
    """The first view of the BYOL paper, table 6."""

    policy: Literal["byol_a"] = "byol_a"


class BYOLBViewsConfig(_BYOLViewsConfig):
    """The second view of the BYOL paper, table 6: rare blur, and solarisation."""

    policy: Literal["byol_b"] = "byol_b"
    blur_probability: Share = 0.1
    solarise_probability: Share = 0.2


class ConsistencyViewsConfig(Section):
    """Flip and crop (recipe D's clean view)."""

    policy: Literal["consistency"] = "consistency"
    crop: float = Field(0.75, gt=0.01, le=1.0, description="share of the side")


class RandAugmentViewsConfig(Section):
    """Flip, crop, RandAugment (recipe D's noisy view)."""

    policy: Literal["randaugment"] = "randaugment"
    crop: float = Field(0.75, gt=0.01, le=1.0, description="share of the side")
    layers: int = Field(2, ge=1)
    magnitude: int = Field(9, ge=0, le=30)


class PatchesViewsConfig(Section):
    """Small crops for encoders of patches, then SimCLR's jitter and grey."""

    policy: Literal["patches"] = "patches"
    side: int = Field(16, ge=1, description="pixels")
    area: Range = (0.2, 0.6)
    aspect: Range = (3 / 4, 4 / 3)
    jitter_probability: Share = 0.8
    strength: float = Field(1.0, ge=0.0, le=2.5)
    grey_probability: Share = 0.2


ViewsConfig = Annotated[
    NoViewsConfig
    | AffineViewsConfig
    | CropViewsConfig
    | SimCLRStrongViewsConfig
    | SimCLRWeakViewsConfig
    | NNCLRViewsConfig
    | NNCLRWeakViewsConfig
    | BarlowViewsConfig
    | SimCLRImageNetViewsConfig
    | BYOLAViewsConfig
    | BYOLBViewsConfig
    | PatchesViewsConfig
    | ConsistencyViewsConfig
    | RandAugmentViewsConfig,
    Field(discriminator="policy"),
]
