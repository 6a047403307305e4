"""Settings of Barlow Twins."""

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
class BarlowTwinsSettings(ProjectorSettings):
    """The cross-correlation of two views becomes the identity.

    Defaults are those of Zbontar et al. (2021), section 2.2: a projector of three layers of 8,192,
    which is four times the 2,048 features of ResNet-50, the first two batch-normalised and
    rectified, and lambda 0.005.
    """

    implementation: ClassVar[str] = "twofold.components.methods.redundancy.barlow_twins:BarlowTwins"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["barlow_twins"] = "barlow_twins"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: three, four times as wide as the "
        "features, at most the 8,192 of Zbontar et al., 2021, section 2.2, and fewer than there "
        "are images",
    )
    projector_batch_norm: HiddenNorm = True
    off_diagonal: float = Field(
        0.005, ge=0.0, description="lambda, weight of the entries off the diagonal"
    )

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives three layers, four times as wide as the features."""
        return choose_decorrelated_projector(size, "Zbontar et al., 2021, section 2.2")
