"""Settings of BYOL."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.settings import Widths


@METHODS.register
class BYOLSettings(ProjectorSettings):
    """A predictor predicts a momentum encoder."""

    implementation: ClassVar[str] = "twofold.components.methods.self_distillation.byol:BYOL"
    name: Literal["byol"] = "byol"
    projector: Widths = Field((4096, 256), description="widths of the layers; empty: identity")
    projector_batch_norm: bool = Field(
        True, description="normalise over the batch after each layer but the last"
    )
    predictor: Widths = Field((4096,), description="widths of its hidden layers")
    momentum: float = Field(
        0.996,
        ge=0.0,
        le=1.0,
        description="share of the momentum encoder kept in a step at the start; 1 at the end",
    )
