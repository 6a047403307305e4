"""View policies: their settings, with the published values as defaults."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from twofold.components.settings import Range, RangeFromZero, Share
from twofold.components.transforms.settings import VIEWS, ViewsSettings

_POLICIES = "twofold.components.transforms.policies"

# What several policies have, each with defaults of its own.
_Area = Annotated[Range, Field(description="share of the image's area that is cropped")]
_MinArea = Annotated[
    float, Field(gt=0.0, le=1.0, description="least share of the image's area that is seen")
]
_Aspect = Annotated[
    Range, Field(description="width over height of the crop, as shares of the image's sides")
]
_Probability = Annotated[Share, Field(description="probability of an image")]
_Shift = Annotated[Share, Field(description="largest shift of the values of [0, 1]")]
_Factor = Annotated[Share, Field(description="largest departure of the factor from 1")]
_Hue = Annotated[
    float,
    Field(ge=0.0, le=0.5, description="largest shift of the hue in turns of the colour circle"),
]
_Strength = Annotated[
    float, Field(ge=0.0, le=2.5, description="factor on the ranges of the colour jitter")
]
_Matrix = Annotated[
    Share, Field(description="largest entry of the random matrix that mixes the colours")
]
_Sigma = Annotated[RangeFromZero, Field(description="standard deviation of the blur in pixels")]
_SigmaDrawn = Annotated[
    Literal["run", "image"],
    Field(description="how often it is drawn: once, by the run's seed, or for each image"),
]
_BlurShare = Annotated[
    Share, Field(description="size of the blur's kernel over the image's shorter side")
]
_Solarise = Annotated[Share, Field(description="values above it are inverted")]


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
    area: _Area = (0.2, 1.0)
    aspect: _Aspect = (3 / 4, 4 / 3)
    flip: bool = Field(True, description="mirror half of the images left to right")
    brightness: _Factor = 0.6
    jitter: _Matrix = 0.2


@VIEWS.register
class SimCLRStrongViewsSettings(ViewsSettings):
    """Flip, translation, zoom, colour affine map (recipe A, for the contrastive loss)."""

    implementation: ClassVar[str] = f"{_POLICIES}:simclr_keras"
    policy: Literal["simclr_strong"] = "simclr_strong"
    min_area: _MinArea = 0.25
    brightness: _Factor = 0.6
    jitter: _Matrix = 0.2


@VIEWS.register
class SimCLRWeakViewsSettings(SimCLRStrongViewsSettings):
    """The same with smaller ranges (recipe A, for the probe)."""

    policy: Literal["simclr_weak"] = "simclr_weak"  # type: ignore[assignment]
    min_area: _MinArea = 0.75
    brightness: _Factor = 0.3
    jitter: _Matrix = 0.1


@VIEWS.register
class NNCLRViewsSettings(ViewsSettings):
    """Flip, random resized crop, brightness (recipe B, for the contrastive loss)."""

    implementation: ClassVar[str] = f"{_POLICIES}:nnclr"
    policy: Literal["nnclr"] = "nnclr"
    area: _Area = (0.2, 1.0)
    aspect: _Aspect = (3 / 4, 4 / 3)
    aspect_scale: Literal["log", "linear"] = Field(
        "linear",
        description="how it is drawn: linear is uniform, as published; log is as often upright as "
        "lying",
    )
    brightness: _Shift = 0.5


@VIEWS.register
class NNCLRWeakViewsSettings(NNCLRViewsSettings):
    """The same with smaller ranges (recipe B, for the probe)."""

    policy: Literal["nnclr_weak"] = "nnclr_weak"  # type: ignore[assignment]
    area: _Area = (0.5, 1.0)
    brightness: _Shift = 0.2


@VIEWS.register
class BarlowViewsSettings(ViewsSettings):
    """Crop, flip, jitter, blur, grey, solarise, as published (recipe C)."""

    implementation: ClassVar[str] = f"{_POLICIES}:barlow"
    drawn_once: ClassVar[bool] = True
    policy: Literal["barlow"] = "barlow"
    crop: Range = Field(
        (24 / 32, 31 / 32), description="side of the crop as a share of the image's"
    )
    flip_probability: _Probability = 0.25
    jitter_probability: _Probability = 0.8
    brightness: _Shift = 0.8
    contrast: _Factor = 0.6
    saturation: _Factor = 0.6
    saturation_of: Literal["hsv", "luma"] = Field(
        "hsv",
        description="what the saturation's factor scales: that of HSV, which is clipped, or the "
        "distance from the image in grey",
    )
    hue: _Hue = 0.2
    blur_probability: _Probability = 0.2
    blur_size: int = Field(3, ge=1, description="taps of the blur's kernel, an odd number")
    sigma: _Sigma = (0.0, 1.0)
    sigma_drawn: _SigmaDrawn = "run"
    grey_probability: _Probability = 0.2
    solarise_probability: _Probability = 0.0
    solarise_threshold: _Solarise = 0.5


@VIEWS.register
class BarlowCorrectedViewsSettings(BarlowViewsSettings):
    """The same with one blur an image and a solarisation that fires, which recipe C means."""

    policy: Literal["barlow_corrected"] = "barlow_corrected"  # type: ignore[assignment]
    sigma_drawn: _SigmaDrawn = "image"
    solarise_probability: _Probability = 0.2


@VIEWS.register
class SimCLRImageNetViewsSettings(ViewsSettings):
    """The views of the SimCLR paper, appendix A."""

    implementation: ClassVar[str] = f"{_POLICIES}:simclr_imagenet"
    policy: Literal["simclr_imagenet"] = "simclr_imagenet"
    area: _Area = (0.08, 1.0)
    aspect: _Aspect = (3 / 4, 4 / 3)
    strength: _Strength = 1.0
    jitter_probability: _Probability = 0.8
    grey_probability: _Probability = 0.2
    blur_probability: _Probability = 0.5
    sigma: _Sigma = (0.1, 2.0)
    blur_share: _BlurShare = 0.1


@VIEWS.register
class BYOLAViewsSettings(ViewsSettings):
    """The first view of the BYOL paper, table 6."""

    implementation: ClassVar[str] = f"{_POLICIES}:byol"
    policy: Literal["byol_a"] = "byol_a"
    area: _Area = (0.08, 1.0)
    aspect: _Aspect = (3 / 4, 4 / 3)
    jitter_probability: _Probability = 0.8
    brightness: _Shift = 0.4
    contrast: _Factor = 0.4
    saturation: _Factor = 0.2
    hue: _Hue = 0.1
    grey_probability: _Probability = 0.2
    blur_probability: _Probability = 1.0
    sigma: _Sigma = (0.1, 2.0)
    blur_share: _BlurShare = 0.1
    solarise_probability: _Probability = 0.0
    solarise_threshold: _Solarise = 0.5


@VIEWS.register
class BYOLBViewsSettings(BYOLAViewsSettings):
    """The second view of the BYOL paper, table 6: rare blur, and solarisation."""

    policy: Literal["byol_b"] = "byol_b"  # type: ignore[assignment]
    blur_probability: _Probability = 0.1
    solarise_probability: _Probability = 0.2


@VIEWS.register
class PatchesViewsSettings(ViewsSettings):
    """Small crops for encoders of patches, then SimCLR's jitter and grey."""

    implementation: ClassVar[str] = f"{_POLICIES}:patches"
    policy: Literal["patches"] = "patches"
    side: int = Field(16, ge=1, description="of the views in pixels")
    area: _Area = (0.2, 0.6)
    aspect: _Aspect = (3 / 4, 4 / 3)
    jitter_probability: _Probability = 0.8
    strength: _Strength = 1.0
    grey_probability: _Probability = 0.2

    @property
    def patch_side(self) -> int:
        """Side of the views in pixels."""
        return self.side
