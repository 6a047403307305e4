"""Export settings: the formats and the heads of a finished encoder."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from twofold.components.settings import Section

Format = Literal["saved_model", "onnx", "litert", "litert_dynamic", "litert_int8", "keras"]
Formats = Annotated[tuple[Format, ...], Field(strict=False)]


class ExportConfig(Section):
    """What becomes of the finished encoder."""

    formats: Formats = Field(
        ("saved_model",),
        description="saved_model is always written; the others are files for other runtimes, in "
        "runtimes/: litert_dynamic has int8 weights, litert_int8 is int8 throughout",
    )
    neighbour_head: bool = Field(
        True,
        description="put kNN among all labelled training images into the model",
    )
    tta_flip: bool = Field(
        True, description="whether classify_tta mirrors half of its views; not for text or digits"
    )
    converted_images: int = Field(
        500, ge=2, description="held-out images that converted files are compared on"
    )
    calibration_images: int = Field(
        100, ge=1, description="further held-out images that litert_int8 takes its ranges from"
    )

    @pydantic.field_validator("formats")
    @classmethod
    def _each_once(cls, value: tuple[Format, ...]) -> tuple[Format, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"export.formats: expected each once, received {list(value)}")
        return value
