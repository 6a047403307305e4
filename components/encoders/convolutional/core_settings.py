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


def smallest_image(blocks: int) -> int:
    """Returns the side in pixels of the smallest image of which so many blocks leave a position."""
    smallest = 1
    for _ in range(blocks):
        # A convolution of 5x5 after a pooling of 2x2, going back.
        smallest = 2 * smallest + 4
    return smallest


def mirrored_side(side: int, blocks: int) -> int | None:
    """Returns the side of the last map on images of a side that is halved without a remainder.

    Args:
        side: of the images, in pixels.
        blocks: how many convolutions there are.

    Returns:
        Positions; None where a halving leaves a remainder, or nothing is left.

    """
    last, remainder = divmod(side - 4 * (2**blocks - 1), 2**blocks)
    return None if last < 1 or remainder else last


def mirrored_sides(blocks: int) -> str:
    """Lists the first sides of images that ``mirrored_side`` takes, for messages."""
    step: int = 2**blocks
    sizes = ", ".join(str(step * small + 4 * (step - 1)) for small in (1, 2, 3))
    return f"{sizes} and so on, in steps of {step}"


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
    def smallest_image(self) -> int:
        """Side in pixels of the smallest images that it takes."""
        return smallest_image(len(self.filters))

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
