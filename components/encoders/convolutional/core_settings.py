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


def image_side(last: int, blocks: int) -> int:
    """Returns the side in pixels of the smallest image of which blocks leave so many positions."""
    side = last
    for _ in range(blocks):
        # A convolution of 5x5 after a pooling of 2x2, going back.
        side = 2 * side + 4
    return side


def smallest_image(blocks: int) -> int:
    """Returns the side in pixels of the smallest image of which so many blocks leave a position."""
    return image_side(1, blocks)


def mirrored_side(side: int, blocks: int) -> int | None:
    """Returns the side of the last map on images of a side that is halved without a remainder.

    Args:
        side: of the images, in pixels.
        blocks: how many convolutions there are.

    Returns:
        Positions; None where a halving leaves a remainder, or nothing is left.

    """
    last, remainder = divmod(side - image_side(0, blocks), 2**blocks)
    return None if last < 1 or remainder else last


def mirrored_sides(blocks: int) -> str:
    """Lists the first sides of images that ``mirrored_side`` takes, for messages."""
    sizes = ", ".join(str(image_side(last, blocks)) for last in (1, 2, 3))
    return f"{sizes} and so on, in steps of {2**blocks}"


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
