"""Settings of NNCLR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import pydantic
from pydantic import Field

from twofold.components.encoders.settings import EncoderSettings
from twofold.components.methods.automatic import (
    Choice,
    TrainingSize,
    choose_predictor,
    choose_projector,
    choose_queue_size,
)
from twofold.components.methods.settings import (
    METHODS,
    ProjectorSettings,
    check_queue_age,
    check_queue_size,
    complete_former,
)
from twofold.components.settings import Widths
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings

_SOURCE = "Dwibedi et al., 2021, section 4"
_QUEUE = 98_304


@METHODS.register
class NNCLRSettings(ProjectorSettings):
    """A nearest neighbour in a queue is the positive.

    Defaults are those of Dwibedi et al. (2021), sections 3.2 and 4, on ResNet-50: a projector of
    three layers, 2,048, 2,048 and 256 wide, all batch-normalised, a prediction head with a hidden
    layer of 4,096 that is, too, temperature 0.1, and a queue of 98,304. The gradient of a neighbour
    stays with the queue (algorithm 1).
    """

    implementation: ClassVar[str] = "twofold.components.methods.contrastive.nnclr:NNCLR"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["nnclr"] = "nnclr"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: two as wide as the features, "
        "then 256 (Dwibedi et al., 2021, section 4)",
    )
    projector_batch_norm: bool = Field(
        True, description="normalise over the batch after each layer, the last among them"
    )
    predictor: Widths | None = Field(
        None,
        description="widths of the prediction head's hidden layers; empty: no prediction head; "
        "null: one, twice as wide as the features (Dwibedi et al., 2021, section 4)",
    )
    temperature: float = Field(0.1, gt=0.0, description="tau of the loss")
    queue_size: int | None = Field(
        None,
        ge=1,
        description="earlier projections to find neighbours in, at least a batch and at most as "
        "many as there are images; null: a tenth of the images, at most the 98,304 of Dwibedi et "
        "al., 2021",
    )
    neighbour_gradient: bool = Field(
        False,
        description="whether a neighbour's gradient goes to the projection that it was found for, "
        "as in keras.io's example",
    )
    accuracies_of: Literal["features", "projections"] = Field(
        "features",
        description="what the contrastive and the correlation accuracy are computed on: what is "
        "kept, or what the loss is computed on",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Reads configurations of when the method was keras.io's alone."""
        former = ("name", "projector", "projector_batch_norm", "temperature", "queue_size")
        return complete_former(values, former, {"predictor": (), "neighbour_gradient": True})

    @property
    def output_norm(self) -> Literal["none", "affine"]:
        """Projections are normalised where the layers before them are."""
        return "affine" if self.projector_batch_norm else "none"

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives three layers, two as wide as the features and the last of 256."""
        return choose_projector(size, 256, _SOURCE, hidden=2)

    def automatic(self, size: TrainingSize) -> Iterator[Choice]:
        """Gives the projector, the prediction head and the queue."""
        yield from super().automatic(size)
        if self.predictor is None:
            yield choose_predictor(size, _SOURCE)
        if self.queue_size is None:
            yield choose_queue_size(size, _QUEUE, "Dwibedi et al. (2021)")

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses a queue that is smaller than a batch."""
        check_queue_size(self.queue_size, training)

    def check_size(self, images: int, batches: Sequence[int], replicas: int) -> None:
        """Refuses a queue of more rows than there are images."""
        check_queue_age(self.queue_size, images)
