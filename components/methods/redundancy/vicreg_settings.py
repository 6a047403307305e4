"""Settings of VICReg."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.settings import Widths


@METHODS.register
class VICRegSettings(ProjectorSettings):
    """Variance, invariance and covariance."""

    implementation: ClassVar[str] = "twofold.components.methods.redundancy.vicreg:VICReg"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["vicreg"] = "vicreg"
    projector: Widths = Field(
        (2048, 2048, 2048), description="widths of the layers; empty: identity"
    )
    projector_batch_norm: bool = Field(
        True, description="normalise over the batch after each layer but the last"
    )
    invariance: float = Field(
        25.0, ge=0.0, description="lambda, weight of the distance between the views"
    )
    variance: float = Field(25.0, ge=0.0, description="mu, weight of what a deviation lacks to 1")
    covariance: float = Field(1.0, ge=0.0, description="nu, weight of the squared covariances")
