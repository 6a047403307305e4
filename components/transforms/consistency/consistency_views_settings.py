"""Settings of recipe D's views: windows, and the two RandAugments."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from twofold.components.transforms.settings import (
    RANDAUGMENTS,
    VIEWS,
    RandAugmentSettings,
    ViewsSettings,
)

_ROOM = "twofold.components.transforms.consistency.consistency_views"

_RESIZED = "side in pixels that images are resized to before the window is cut"
_SIDE = "of the window, and so of the views, in pixels; at most resized"

_Crop = Annotated[
    float, Field(gt=0.01, le=1.0, description="side of the crop as a share of the image's")
]
_Layers = Annotated[int, Field(ge=1, description="operations that an image passes")]
_OfTen = Annotated[
    int, Field(ge=1, le=10, description="strength of the operations, on a scale to 10")
]
_OfThirty = Annotated[
    int, Field(ge=0, le=30, description="strength of the operations, on a scale to 30")
]
_Cutout = Annotated[
    float, Field(ge=0.0, description="half the side in pixels of a square cut out at magnitude 10")
]
_Translation = Annotated[float, Field(ge=0.0, description="shift in pixels at magnitude 10")]


@RANDAUGMENTS.register
class TFModelsNoiseSettings(RandAugmentSettings):
    """RandAugment of TF Models, sixteen operations and none (recipe D)."""

    implementation: ClassVar[str] = f"{_ROOM}:tf_models_noise"
    name: Literal["randaugment_tf_models"] = "randaugment_tf_models"
    layers: _Layers = 2
    magnitude: _OfTen = 9
    cutout: _Cutout = 40.0
    translation: _Translation = 100.0


@RANDAUGMENTS.register
class TorchvisionNoiseSettings(RandAugmentSettings):
    """RandAugment of torchvision, fourteen operations; much weaker at the same number."""

    implementation: ClassVar[str] = f"{_ROOM}:torchvision_noise"
    name: Literal["randaugment_torchvision"] = "randaugment_torchvision"
    layers: _Layers = 2
    magnitude: _OfThirty = 9


@VIEWS.register
class ResizedWindowViewsSettings(ViewsSettings):
    """Flip, resize, window of whole pixels (recipe D's clean view)."""

    implementation: ClassVar[str] = f"{_ROOM}:resized_window"
    policy: Literal["resized_window"] = "resized_window"
    resized: int = Field(96, ge=1, description=_RESIZED)
    side: int = Field(72, ge=1, description=_SIDE)

    @property
    def patch_side(self) -> int:
        """Side of the views in pixels."""
        return self.side


@VIEWS.register
class TFModelsViewsSettings(ResizedWindowViewsSettings):
    """Flip, resize, window of whole pixels, RandAugment of TF Models (recipe D's noisy view)."""

    implementation: ClassVar[str] = f"{_ROOM}:randaugment_tf_models"
    policy: Literal["randaugment_tf_models"] = "randaugment_tf_models"  # type: ignore[assignment]
    layers: _Layers = 2
    magnitude: _OfTen = 9
    cutout: _Cutout = 40.0
    translation: _Translation = 100.0


@VIEWS.register
class ConsistencyViewsSettings(ViewsSettings):
    """Flip and crop, in the image's own size."""

    implementation: ClassVar[str] = f"{_ROOM}:consistency"
    policy: Literal["consistency"] = "consistency"
    crop: _Crop = 0.75


@VIEWS.register
class TorchvisionViewsSettings(ConsistencyViewsSettings):
    """Flip and crop in the image's own size, then RandAugment of torchvision."""

    implementation: ClassVar[str] = f"{_ROOM}:randaugment_torchvision"
    policy: Literal["randaugment_torchvision"] = "randaugment_torchvision"  # type: ignore[assignment]
    layers: _Layers = 2
    magnitude: _OfThirty = 9


# What versions before the second RandAugment called it.
VIEWS.rename("randaugment", "randaugment_torchvision")
