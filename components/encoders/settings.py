"""Encoders: what the settings of each have, and the registry of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, TypedDict

from pydantic import Field

from twofold.components.errors import SettingsError
from twofold.components.settings import ChosenFrom, Implemented, Registry

InitializerName = Literal["keras", "pytorch", "he"]
INITIALIZER = "initial weights: of Keras (Glorot), of PyTorch, or of He et al. (2015)"


class BatchNormArguments(TypedDict):
    """Keywords of the builders of heads."""

    batch_norm_momentum: float
    batch_norm_epsilon: float


def check_image_size(encoder: str, smallest: int, height: int, width: int) -> None:
    """Refuses images that are too small for an encoder.

    Args:
        encoder: its name, and with what settings it needs that size.
        smallest: side in pixels of the smallest images that it takes.
        height: of the images, in pixels.
        width: likewise.

    Raises:
        SettingsError: naming the keys, the smallest size and the size received.

    """
    if min(height, width) < smallest:
        raise SettingsError(
            f"the encoder {encoder} needs images of at least {smallest}x{smallest}, received "
            f"{height}x{width}: change data.image_size or encoder.name"
        )


class EncoderSettings(Implemented):
    """Settings of an encoder.

    ``implementation`` is a function of ``image_shape`` (H, W, C) and, as keywords, ``seed`` and the
    other settings, that returns a model from [B, H, W, C] in [0, 1] to features [B, D].

    Attributes:
        learns_dictionary: whether it has the layers ``whitening`` and ``dictionary`` of patches.
        torch_weights: a function of an encoder and the arrays of a PyTorch state dict by name,
            as ``package.module:object``, which gives it these weights; empty where there is none.

    """

    learns_dictionary: ClassVar[bool] = False
    torch_weights: ClassVar[str] = ""
    name: str

    @property
    def smallest_image(self) -> int:
        """Side in pixels of the smallest whole images that it takes."""
        return 1

    def check_image(self, height: int, width: int) -> None:
        """Refuses whole images that it cannot take, without building it: ``check_image_size``."""
        check_image_size(self.name, self.smallest_image, height, width)

    @property
    def patch_side(self) -> int | None:
        """Side in pixels of the smallest images that it takes beside whole ones; None: none."""
        return None

    @property
    def mirrored_filters(self) -> Sequence[int] | None:
        """Channels of the convolutions that a decoder can mirror; None: it mirrors ``core``'s."""
        return None

    @property
    def last_dense_input(self) -> str | None:
        """Name of the layer that the last dense layer reads; None: it does not end in one."""
        return None

    @property
    def head_initializer(self) -> str:
        """Initial weights of projectors and heads: the encoder's own, if that is a setting."""
        return str(getattr(self, "initializer", "keras"))

    @property
    def head_batch_norm(self) -> BatchNormArguments:
        """Momentum and epsilon of batch normalisation in heads, as keywords of their builders."""
        return {"batch_norm_momentum": 0.9, "batch_norm_epsilon": 1e-5}

    @property
    def classifier_initializer(self) -> str:
        """Initial weights of a linear classifier: as of heads, but "he" is for before a ReLU."""
        return "keras" if self.head_initializer == "he" else self.head_initializer


class NormalisedSettings(EncoderSettings):
    """What encoders with batch normalisation have in common; heads on them follow it."""

    batch_norm_momentum: float = Field(
        0.9,
        ge=0.0,
        lt=1.0,
        description="share of a batch normalisation's moving statistics that a step keeps; in "
        "heads on the encoder, too",
    )
    batch_norm_epsilon: float = Field(
        1e-5,
        gt=0.0,
        description="added to a batch normalisation's variance; in heads on the encoder, too",
    )

    @property
    def head_batch_norm(self) -> BatchNormArguments:
        """The encoder's own momentum and epsilon."""
        return {
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
        }


ENCODERS: Registry[EncoderSettings] = Registry(
    "encoder", base=EncoderSettings, group="twofold.encoders", path="encoder.name"
)
AnyEncoder = Annotated[EncoderSettings, ChosenFrom(ENCODERS)]
