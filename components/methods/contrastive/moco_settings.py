"""Settings of MoCo."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import pydantic
from pydantic import Field

from twofold.components.encoders.settings import EncoderSettings
from twofold.components.errors import SettingsError
from twofold.components.methods.automatic import (
    Choice,
    TrainingSize,
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

# He et al. (2020): section 3.2 and table 1's queue; section 3.3's 8 GPUs.
_QUEUE, _GROUPS = 65_536, 8
# Fewer images say little about a mean and a variance.
_LEAST_GROUP = 16
# The paper's 0.999 is of a million updates; its authors' CIFAR-10, of 20,000, has 0.99.
_MOMENTUM, _MOMENTUM_OF_SHORT, _SHORT = 0.999, 0.99, 100_000


@METHODS.register
class MoCoSettings(ProjectorSettings):
    """A momentum encoder's queue holds the negatives (version 2).

    Defaults are those of Chen et al. (2020b), table 1 and section 3: a projector of two layers,
    2,048 and 128 wide on ResNet-50, and temperature 0.2. From He et al. (2020): 65,536 negatives
    and momentum 0.999 (section 4.1), batch statistics of each of 8 GPUs, and the images of the keys
    shuffled among them (section 3.3). On fewer images and updates they are as in the authors'
    demonstration on CIFAR-10.
    """

    implementation: ClassVar[str] = "twofold.components.methods.contrastive.moco:MoCo"
    name: Literal["moco"] = "moco"
    projector: Widths | None = Field(
        None,
        description="widths of the layers; empty: identity; null: as wide as the features, then "
        "128 (Chen et al., 2020b, section 3)",
    )
    temperature: float = Field(0.2, gt=0.0, description="tau of the loss")
    queue_size: int | None = Field(
        None,
        ge=1,
        description="earlier projections that are negatives, at least a batch and at most as many "
        "as there are images; null: a tenth of the images, at most the 65,536 of He et al., 2020",
    )
    momentum: float | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="share of the momentum encoder kept in a step; null: 0.999 (He et al., 2020, "
        "section 4.1), or 0.99 where there are fewer than 100,000 steps",
    )
    batch_norm_groups: int | None = Field(
        None,
        ge=1,
        description="equal parts of a batch with batch statistics of their own, among which the "
        "images of the keys are shuffled; 1: neither; null: the 8 of He et al., 2020, section 3.3, "
        "or 4 or 2 where these leave less than 16 images in a part",
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Reads configurations of when batch statistics were those of the whole batch."""
        heads = ("name", "projector", "projector_batch_norm")
        former = (*heads, "temperature", "queue_size", "momentum")
        return complete_former(values, former, {"batch_norm_groups": 1})

    def paper_projector(self, size: TrainingSize) -> Choice:
        """Gives two layers, the first as wide as the features and the second of 128."""
        return choose_projector(size, 128, "Chen et al., 2020b, section 3")

    def automatic(self, size: TrainingSize) -> Iterator[Choice]:
        """Gives the projector, the queue, the momentum and the parts of a batch."""
        yield from super().automatic(size)
        if self.queue_size is None:
            yield choose_queue_size(size, _QUEUE, "He et al. (2020)")
        if self.momentum is None:
            short = size.steps < _SHORT
            yield Choice(
                "momentum",
                _MOMENTUM_OF_SHORT if short else _MOMENTUM,
                f"{size.steps:,} steps, fewer than {_SHORT:,} (as in the authors' demonstration on "
                f"CIFAR-10)"
                if short
                else "He et al. (2020), section 4.1",
            )
        if self.batch_norm_groups is None:
            yield Choice(
                "batch_norm_groups",
                _groups(size.batches),
                f"of the {_GROUPS} of He et al. (2020), section 3.3, as many as leave at least "
                f"{_LEAST_GROUP} images in equal parts of {' and '.join(map(str, size.batches))}",
            )

    def check(
        self, training: TrainingSettings, encoder: EncoderSettings, views: Sequence[ViewsSettings]
    ) -> None:
        """Refuses a queue that is smaller than a batch, and parts of a batch that are not equal."""
        check_queue_size(self.queue_size, training)
        batch = training.batch_size // training.accumulate
        groups = self.batch_norm_groups or 1
        if batch % groups or batch // groups < 2:
            raise ValueError(
                f"method.batch_norm_groups={groups} does not cut {batch} images "
                f"(training.batch_size={training.batch_size}, training.accumulate="
                f"{training.accumulate}) into equal parts of at least 2"
            )

    def check_size(self, images: int, batches: Sequence[int], replicas: int) -> None:
        """Refuses a queue of more rows than there are images, and parts that replicas share."""
        check_queue_age(self.queue_size, images)
        groups = self.batch_norm_groups or _groups(batches)
        uneven = [batch for batch in batches if batch % groups or batch // groups < 2]
        if uneven:
            raise SettingsError(
                f"method.batch_norm_groups={groups} does not cut the {uneven[0]} images of the "
                f"last batch into equal parts of at least 2: expected training.last_batch=drop, or "
                f"method.batch_norm_groups=1"
            )
        if groups > 1 and groups % replicas:
            raise SettingsError(
                f"method.batch_norm_groups={groups} cannot be shared by {replicas} replicas: "
                f"expected a multiple of {replicas}, or 1"
            )


def _groups(batches: Sequence[int]) -> int:
    """Returns 8, or what remains after halving until every batch is in equal, large parts."""
    groups = _GROUPS
    while groups > 1 and any(batch % groups or batch // groups < _LEAST_GROUP for batch in batches):
        groups //= 2
    return groups
