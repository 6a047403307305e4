"""Settings of Barlow Twins."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.settings import Widths


@METHODS.register
class BarlowTwinsSettings(ProjectorSettings):
    """The cross-correlation of two views becomes the identity."""

    implementation: ClassVar[str] = "twofold.components.methods.redundancy.barlow_twins:BarlowTwins"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["barlow_twins"] = "barlow_twins"
    projector: Widths = Field(
        (5000, 5000, 5000), description="widths of the layers; empty: identity"
    )
    projector_batch_norm: bool = Field(
        True, description="normalise over the batch after each layer but the last"
    )
    off_diagonal: float = Field(
        0.005, ge=0.0, description="lambda, weight of the entries off the diagonal"
    )
