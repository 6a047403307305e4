"""Settings of BYOL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.methods.automatic import (
    Choice,
    TrainingSize,
    choose_predictor,
    twice_as_wide,
)
from twofold.components.methods.settings import METHODS, HiddenNorm, ProjectorSettings
from twofold.components.settings import Widths

# Steps from which on a momentum is chosen: of 1,000, 100 and 300, and 40 epochs of ImageNet in
# batches of 4,096, in the authors' code.
_MOMENTA = ((300_000, 0.996), (30_000, 0.99), (0, 0.97))


@METHODS.register
class BYOLSettings(ProjectorSettings):
    """A predictor predicts a momentum encoder.

    Defaults are those of Grill et al. (2020), section 3.2, on ResNet-50: projector and predictor
    have a hidden layer of 4,096, twice the features, batch-normalised and rectified, and 256
    outputs; the momentum rises from 0.996 to 1. In their code (``configs/byol.py``) shorter
    trainings begin with less.
    """

    implementation: ClassVar[str] = "twofold.components.methods.self_distillation.byol:BYOL"
    name: Literal["byol"] = "byol"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: twice as wide as the features, "
        "then 256 (Grill et al., 2020, section 3.2)",
    )
    projector_batch_norm: HiddenNorm = True
    predictor: Widths | None = Field(
        None,
        description="widths of its hidden layers; null: one, twice as wide as the features (Grill "
        "et al., 2020, section 3.2)",
    )
    momentum: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="share of the momentum encoder kept in a step at the start; 1 at the end; "
        "null: 0.996 (Grill et al., 2020, section 3.2), 0.99 below 300,000 steps, 0.97 below "
        "30,000",
    )

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives two layers, the first twice as wide as the features and the second of 256."""
        return Choice(
            "projector",
            (twice_as_wide(size), min(256, size.features)),
            f"twice as wide as the encoder's {size.features:,} features, at most 4,096, then 256 "
            f"(Grill et al., 2020, section 3.2)",
        )

    def automatic(self, size: TrainingSize) -> Iterator[Choice]:
        """Gives the projector, the predictor and the momentum."""
        yield from super().automatic(size)
        if self.predictor is None:
            yield choose_predictor(size, "Grill et al., 2020, section 3.2")
        if self.momentum is None:
            yield Choice(
                "momentum",
                next(momentum for steps, momentum in _MOMENTA if size.steps >= steps),
                f"{size.steps:,} steps: 0.996 from 300,000, 0.99 from 30,000, else 0.97 (Grill et "
                f"al., 2020, section 3.2 and code)",
            )
