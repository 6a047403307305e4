"""Settings of NNCLR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import EncoderSettings
from twofold.components.methods.settings import METHODS, ProjectorSettings, check_queue_size
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


@METHODS.register
class NNCLRSettings(ProjectorSettings):
    """A nearest neighbour in a queue is the positive."""

    implementation: ClassVar[str] = "twofold.components.methods.contrastive.nnclr:NNCLR"
    loss_of_batch: ClassVar[bool] = True
    name: Literal["nnclr"] = "nnclr"
    temperature: float = Field(0.1, gt=0.0, description="tau of the loss")
    queue_size: int = Field(
        10_000, ge=1, description="earlier projections to find neighbours in, at least a batch"
    )

    accuracies_of: Literal["features", "projections"] = Field(
        "features",
        description="what the contrastive and the correlation accuracy are computed on: what is "
        "kept, as published, or what the loss is computed on",
    )

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses a queue that is smaller than a batch."""
        check_queue_size(self.queue_size, training)
