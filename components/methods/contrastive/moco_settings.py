"""Settings of MoCo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from twofold.components.encoders.settings import EncoderSettings
from twofold.components.methods.settings import METHODS, ProjectorSettings, check_queue_size
from twofold.components.training.settings import TrainingSettings
from twofold.components.transforms.settings import ViewsSettings


@METHODS.register
class MoCoSettings(ProjectorSettings):
    """A momentum encoder's queue holds the negatives (version 2)."""

    implementation: ClassVar[str] = "twofold.components.methods.contrastive.moco:MoCo"
    name: Literal["moco"] = "moco"
    temperature: float = Field(0.2, gt=0.0, description="tau of the loss")
    queue_size: int = Field(
        65_536, ge=1, description="earlier projections that are negatives, at least a batch"
    )
    momentum: float = Field(
        0.999, ge=0.0, le=1.0, description="share of the momentum encoder kept in a step"
    )

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses a queue that is smaller than a batch."""
        check_queue_size(self.queue_size, training)
