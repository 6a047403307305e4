"""What all sections of a configuration share: strictness, and the types of their values."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError


class Section(pydantic.BaseModel):
    """A frozen mapping of known keys."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


def _ascending(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 < values[0] <= values[1]:
        raise PydanticCustomError("range", "Input should be two numbers above 0, the lower first")
    return values


def _ascending_from_zero(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= values[0] <= values[1]:
        raise PydanticCustomError(
            "range", "Input should be two numbers of at least 0, the lower first"
        )
    return values


def _in_order(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise PydanticCustomError("range", "Input should be two numbers, the lower first")
    return values


def _off_is_text(value: Any) -> Any:
    # YAML takes a bare `off` for False.
    return "off" if value is False else value


OffIsText = BeforeValidator(_off_is_text)
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Lists in YAML are tuples here, which is all that strictness has to overlook.
Range = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_ascending)]
RangeFromZero = Annotated[
    tuple[float, float], Field(strict=False), AfterValidator(_ascending_from_zero)
]
RangeWithEnds = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_in_order)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]
