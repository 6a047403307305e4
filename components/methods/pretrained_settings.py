"""Pretrained-weights settings: no training at all, an encoder that others have published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import ENCODERS, EncoderSettings
from twofold.components.methods.settings import METHODS, MethodSettings
from twofold.components.settings import local_only
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


@METHODS.register
class PretrainedSettings(MethodSettings):
    """No training at all: weights that others have published, from a PyTorch file."""

    trains: ClassVar[bool] = False
    name: Literal["pretrained"] = "pretrained"
    weights: Annotated[str, local_only("method.weights")] | None = Field(
        None, description="PyTorch file (.pth) of a state dict, which is read without PyTorch"
    )

    @property
    def weights_file(self) -> str | None:
        """The PyTorch file of the encoder's weights."""
        return self.weights

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses to do without a file, and encoders whose layout in PyTorch is not known."""
        if not encoder.torch_weights:
            known = ", ".join(name for name in ENCODERS if ENCODERS[name].torch_weights)
            raise ValueError(
                f"encoder.name={encoder.name}: method.name={self.name} does not know its layout in "
                f"PyTorch: expected one of {known}"
            )
        if self.weights is None:
            raise ValueError(
                f"method.weights=null: method.name={self.name} needs weights: expected a PyTorch "
                f"file, such as method.weights=encoder.pth"
            )
