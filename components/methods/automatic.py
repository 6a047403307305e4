"""Automatic settings: what a method's settings that are left at null become, and why.

The papers' sizes are those of ResNet-50, whose features are 2,048 wide, on the 1.28 million images
of ImageNet. Scaled to another encoder and to fewer images, they are the papers' there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Widest hidden layers of a head that is as wide as the features, or twice or four times as wide.
_AS_WIDE, _TWICE, _FOURFOLD = 2048, 4096, 8192


@dataclass(frozen=True)
class TrainingSize:
    """What settings that are left at null are chosen by.

    Attributes:
        features: D, the width of the encoder's features.
        images: N, how many images are trained on.
        batches: how many images have their batch statistics and their loss computed together, over
            all replicas; two numbers where the last batch of an epoch is smaller.
        steps: updates of the whole training.

    """

    features: int
    images: int
    batches: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Choice:
    """What a setting that was left at null becomes.

    Attributes:
        key: of the setting, within the method.
        value: what it becomes.
        reason: why, with its source, for a person.

    """

    key: str
    value: Any
    reason: str


def as_wide(size: TrainingSize, output: int, hidden: int = 1) -> tuple[int, ...]:
    """Returns the widths of a projector with hidden layers as wide as the features.

    Args:
        size: of the training.
        output: width of the projections, which are no wider than the features.
        hidden: how many hidden layers.

    """
    return (*[min(_AS_WIDE, size.features)] * hidden, min(output, size.features))


def twice_as_wide(size: TrainingSize) -> int:
    """Returns the width of a hidden layer twice as wide as the features (2,048 -> 4,096)."""
    return min(_TWICE, 2 * size.features)


def decorrelated(size: TrainingSize) -> tuple[int, ...]:
    """Returns the widths of a projector whose units are to be uncorrelated (2,048 -> 8,192).

    Four times as wide as the features, and no wider than there are images: of N images, at most
    N - 1 units can be uncorrelated, since centred rows have no higher rank.
    """
    return (max(2, min(_FOURFOLD, 4 * size.features, size.images - 1)),) * 3


def queue_rows(size: TrainingSize, published: int) -> int:
    """Returns how many rows a queue has: the published number, where there are images for it.

    A tenth of the images, so that hardly any row is of an image of the batch: the papers' queues
    are 5 and 8 per cent of ImageNet, and with the MoCo authors' own demonstration on CIFAR-10 the
    accuracy no longer rises beyond 4,096, which is 8 per cent. At least a batch, which it takes in.
    """
    return min(published, max((*size.batches, size.images // 10)))
