"""Settings of VICReg."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.automatic import (
    Choice,
    TrainingSize,
    choose_decorrelated_projector,
)
from twofold.components.methods.settings import METHODS, HiddenNorm, ProjectorSettings
from twofold.components.settings import Widths


@METHODS.register
class VICRegSettings(ProjectorSettings):
    """Variance, invariance and covariance.

    Defaults are those of Bardes et al. (2022), section 4.2: an expander of three layers of 8,192,
    which is four times the 2,048 features of ResNet-50, the first two batch-normalised and
    rectified, lambda = mu = 25 and nu = 1.
    """

    implementation: ClassVar[str] = "twofold.components.methods.redundancy.vicreg:VICReg"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["vicreg"] = "vicreg"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: three, four times as wide as the "
        "features, at most the 8,192 of Bardes et al., 2022, section 4.2, and fewer than there are "
        "images",
    )
    projector_batch_norm: HiddenNorm = True
    invariance: float = Field(
        25.0, ge=0.0, description="lambda, weight of the distance between the views"
    )
    variance: float = Field(25.0, ge=0.0, description="mu, weight of what a deviation lacks to 1")
    covariance: float = Field(1.0, ge=0.0, description="nu, weight of the squared covariances")

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives three layers, four times as wide as the features."""
        return choose_decorrelated_projector(size, "Bardes et al., 2022, section 4.2")
