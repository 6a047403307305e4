"""Settings of SimSiam."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.settings import Widths


@METHODS.register
class SimSiamSettings(ProjectorSettings):
    """A predictor predicts the other view, whose gradient is stopped."""

    implementation: ClassVar[str] = "twofold.components.methods.self_distillation.simsiam:SimSiam"
    normalised_projections: ClassVar[bool] = True
    name: Literal["simsiam"] = "simsiam"
    projector: Widths = Field(
        (2048, 2048, 2048), description="widths of the layers; empty: identity"
    )
    projector_batch_norm: bool = Field(
        True, description="normalise over the batch after each layer but the last"
    )
    predictor: Widths = Field((512,), description="widths of its hidden layers")
