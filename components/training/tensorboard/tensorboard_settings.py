"""TensorBoard settings: what it shows of a training, which changes none of its results."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from twofold.components.settings import Limits, Section


def _ascending(steps: tuple[int, int]) -> tuple[int, int]:
    if not 1 <= steps[0] <= steps[1]:
        raise PydanticCustomError(
            "steps", "Input should be a first and a last step from 1 up, as in [10, 20]"
        )
    return steps


# A list in YAML is a tuple here, which is all that strictness has to overlook.
FirstAndLast = Annotated[
    tuple[int, int],
    Field(strict=False),
    AfterValidator(_ascending),
    Limits("a first and a last step, from 1 up"),
]


class TensorBoardSettings(Section):
    """What TensorBoard shows of a training besides its curves; no result depends on it."""

    snapshots: int = Field(
        10,
        ge=0,
        description="times over the training that kNN, effective rank, similarities, weights and "
        "what the method draws are shown; 0: never",
    )
    images: int = Field(
        450,
        ge=3,
        description="most images that a snapshot measures, two thirds of them training images; "
        "fewer where they would take more than a hundredth of the training",
    )
