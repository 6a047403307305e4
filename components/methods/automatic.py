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
        accumulate: how many of these batches an update is made of.

    """

    features: int
    images: int
    batches: tuple[int, ...]
    steps: int
    accumulate: int = 1


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


def choose_projector(size: TrainingSize, output: int, source: str, *, hidden: int = 1) -> Choice:
    """Chooses a projector with hidden layers as wide as the features.

    Args:
        size: of the training.
        output: width of the projections, which are no wider than the features.
        source: paper and section.
        hidden: how many hidden layers.

    """
    layers = "a hidden layer" if hidden == 1 else f"{hidden} hidden layers"
    return Choice(
        "projector",
        (*[min(_AS_WIDE, size.features)] * hidden, min(output, size.features)),
        f"{layers} as wide as the encoder's {size.features:,} features, at most {_AS_WIDE:,}, and "
        f"projections as wide, at most {output:,} ({source})",
    )


def choose_decorrelated_projector(size: TrainingSize, source: str) -> Choice:
    """Chooses a projector whose units are to be uncorrelated (2,048 features -> 8,192 units).

    Four times as wide as the features, and no wider than there are images: of N images, at most
    N - 1 units can be uncorrelated, since centred rows have no higher rank.

    Args:
        size: of the training.
        source: paper and section.

    """
    return Choice(
        "projector",
        (max(2, min(_FOURFOLD, 4 * size.features, size.images - 1)),) * 3,
        f"three layers four times as wide as the encoder's {size.features:,} features, at most "
        f"{_FOURFOLD:,} ({source}) and fewer than the {size.images:,} training images, since no "
        f"more units can be uncorrelated on them",
    )


def twice_as_wide(size: TrainingSize) -> int:
    """Returns the width of a hidden layer twice as wide as the features (2,048 -> 4,096)."""
    return min(_TWICE, 2 * size.features)


def choose_predictor(size: TrainingSize, source: str) -> Choice:
    """Chooses a predictor with one hidden layer, twice as wide as the features.

    Args:
        size: of the training.
        source: paper and section.

    """
    return Choice(
        "predictor",
        (twice_as_wide(size),),
        f"twice as wide as the encoder's {size.features:,} features, at most {_TWICE:,} ({source})",
    )


def choose_queue_size(size: TrainingSize, published: int, source: str) -> Choice:
    """Chooses how many rows a queue has: the published number, where there are images for it.

    A tenth of the images, so that hardly any row is of an image of the batch: the papers' queues
    are 5 and 8 per cent of ImageNet, and with the MoCo authors' own demonstration on CIFAR-10 the
    accuracy no longer rises beyond 4,096, which is 8 per cent. At least as many rows as an update
    has images, all of which are enqueued together.

    Args:
        size: of the training.
        published: how many the paper has.
        source: the paper.

    """
    update = max(size.batches) * size.accumulate
    return Choice(
        "queue_size",
        max(update, min(published, size.images // 10)),
        f"a tenth of {size.images:,} training images, at most the {published:,} of {source} and at "
        f"least the {update:,} of a batch",
    )
