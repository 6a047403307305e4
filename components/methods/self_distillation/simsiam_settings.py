"""Settings of SimSiam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import pydantic
from pydantic import Field

from twofold.components.methods.automatic import Choice, TrainingSize, choose_projector
from twofold.components.methods.settings import (
    METHODS,
    HiddenNorm,
    ProjectorSettings,
    complete_former,
)
from twofold.components.settings import Widths


@METHODS.register
class SimSiamSettings(ProjectorSettings):
    """A predictor predicts the other view, whose gradient is stopped.

    Defaults are those of Chen & He (2021), section 3, on ResNet-50: a projector of three layers of
    2,048, all batch-normalised, and a predictor with a hidden layer of 512, a quarter. The rate of
    the predictor does not fall with that of the rest (section 4.2, from where on the paper has it
    so).
    """

    implementation: ClassVar[str] = "twofold.components.methods.self_distillation.simsiam:SimSiam"
    name: Literal["simsiam"] = "simsiam"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: three as wide as the features "
        "(Chen & He, 2021, section 3)",
    )
    projector_batch_norm: HiddenNorm = True
    predictor: Widths | None = Field(
        None,
        description="widths of its hidden layers; null: one, a quarter of the projections (Chen & "
        "He, 2021, section 3)",
    )
    predictor_rate: Literal["constant", "schedule"] = Field(
        "constant",
        description="learning rate of the predictor after the warm-up: training.learning_rate "
        "(Chen & He, 2021, section 4.2), or as training.schedule moves that of the rest",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Reads configurations of when the predictor had no rate of its own."""
        former = ("name", "projector", "projector_batch_norm", "predictor")
        return complete_former(values, former, {"predictor_rate": "schedule"})

    @property
    def output_norm(self) -> Literal["plain"]:
        """Projections are normalised without scale and offset, as in the authors' code."""
        return "plain"

    @property
    def constant_rates(self) -> tuple[str, ...]:
        """The predictor, unless it follows the schedule."""
        return ("predictor",) if self.predictor_rate == "constant" else ()

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives three layers as wide as the features."""
        return choose_projector(size, 2048, "Chen & He, 2021, section 3", hidden=2)

    def automatic(self, size: TrainingSize) -> Iterator[Choice]:
        """Gives the projector and the predictor."""
        yield from super().automatic(size)
        if self.predictor is None:
            projector = (
                self.paper_projector(size).value if self.projector is None else self.projector
            )
            # Without a layer the features are the projections.
            width = (size.features, *projector)[-1]
            yield Choice(
                "predictor",
                (max(1, width // 4),),
                f"a quarter of the projections' {width:,} numbers (Chen & He, 2021, section 3)",
            )
