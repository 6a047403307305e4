"""Settings of SimCLR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from twofold.components.encoders.settings import EncoderSettings
from twofold.components.methods.automatic import Choice, TrainingSize, choose_projector
from twofold.components.methods.settings import METHODS, ProjectorSettings
from twofold.components.settings import Widths
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


def _negatives(value: Any) -> str | int | float:
    if value in ("all", "other_view"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, float) and (0 < value < 1 or (value >= 1 and value.is_integer())):
        return value if value < 1 else int(value)
    raise PydanticCustomError(
        "negatives",
        'Input should be "all", "other_view", a whole number above 0 or a share between 0 and 1',
    )


@METHODS.register
class SimCLRSettings(ProjectorSettings):
    """NT-Xent over 2N views.

    Defaults are those of Chen et al. (2020): a projection head of two layers with a ReLU between
    them (section 2.1), to 128 numbers (section 2.2), hidden as wide as the features (2,048 of
    ResNet-50, as in the authors' code, which also normalises over the batch in the head; the paper
    does not mention it). The temperature is the one of its CIFAR-10 (appendix B.9); on ImageNet
    0.1 is best (table 5).
    """

    implementation: ClassVar[str] = "twofold.components.methods.contrastive.simclr:SimCLR"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["simclr"] = "simclr"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: as wide as the features, then "
        "128 (Chen et al., 2020, section 2.2)",
    )
    temperature: float = Field(0.5, gt=0.0, description="tau of the loss")
    negatives: Annotated[str | int | float, PlainValidator(_negatives)] = Field(
        "all",
        description="all: of both views; other_view; or how many random ones an anchor has, below "
        "1 as their share of both views",
    )

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives two layers, the first as wide as the features and the second of 128."""
        return choose_projector(size, 128, "Chen et al., 2020, section 2.2")

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses more negatives than a batch has."""
        others = 2 * (training.batch_size // training.accumulate) - 2
        if isinstance(self.negatives, int) and self.negatives > others:
            raise ValueError(
                f"method.negatives={self.negatives}: an anchor has only {others} others to draw "
                f"from at training.batch_size={training.batch_size}, "
                f"training.accumulate={training.accumulate}"
            )
