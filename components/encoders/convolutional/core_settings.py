"""Core settings: the small convolutional network of recipe E."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import (
    ENCODERS,
    INITIALIZER,
    InitializerName,
    NormalisedSettings,
)
from twofold.components.settings import Widths


@ENCODERS.register
class CoreSettings(NormalisedSettings):
    """The small convolutional network of recipe E."""

    implementation: ClassVar[str] = "twofold.components.encoders.convolutional.core:build_core"
    torch_weights: ClassVar[str] = "twofold.components.encoders.published.torch_core:assign_core"
    name: Literal["core"] = "core"
    filters: Widths = Field((6, 16), description="channels of each convolution")
    units: Widths = Field(
        (120, 84, 84),
        description="widths of the dense layers; the last is that of the features",
    )
    pooling: Literal["flatten", "average"] = Field(
        "flatten", description="what the dense layers get of the last map: all of it, or its mean"
    )
    initializer: InitializerName = Field("pytorch", description=INITIALIZER)

    @property
    def last_dense_input(self) -> str | None:
        """Name of the layer that the last dense layer reads."""
        if not self.units:
            return None
        return f"dense{len(self.units) - 2}_norm" if len(self.units) > 1 else self.pooling

    @property
    def mirrored_filters(self) -> Sequence[int]:
        """Channels of the convolutions that a decoder can mirror."""
        return self.filters
