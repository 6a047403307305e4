"""Preparation settings: what decides, beside the source, what a data set holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from twofold.components.data.rules.duplicates import MOST_BITS, NEAR_BITS
from twofold.components.data.rules.image_rules import ImageRules
from twofold.components.errors import DataError

SEARCHES = ("off", "exact", "near")
ANSWERS = ("report", "remove")


@dataclass(frozen=True)
class DuplicateRules:
    """What is searched for as duplicates, and what is done about them.

    Attributes:
        search: `off`; `exact` for equal pixels; `near` for look-alikes, too.
        bits: near duplicates differ in at most this many of the 64 bits of a perceptual hash.
        within: `remove` keeps one image of those alike in one split, `report` keeps all.
        leakage: `remove` drops from the training splits what resembles a held-out image, `report`
            keeps it.

    """

    search: str = "near"
    bits: int = NEAR_BITS
    within: str = "report"
    leakage: str = "report"

    def __post_init__(self) -> None:
        _choose("duplicates", self.search, SEARCHES)
        _choose("on_duplicate", self.within, ANSWERS)
        _choose("on_leakage", self.leakage, ANSWERS)
        if not 0 <= self.bits <= MOST_BITS:
            raise DataError(
                f"near_duplicate_bits must be from 0 to {MOST_BITS}, received {self.bits}"
            )


@dataclass(frozen=True)
class PrepareSettings:
    """The settings of `prepare`.

    Attributes:
        test_share: of the images without a split of their own, the share that goes to `test`.
        split_seed: another seed draws other such splits.
        validation_share: of the images that would be in `train`, the share that goes to
            `validation`, by a hash of the key or, where the image has one, of its group.
        max_reject_share: of all images, the largest share that may be rejected.
        images_per_shard: no shard holds more images.
        shard_bytes: nor more bytes of images, except of one that is larger by itself.
        full_check: whether images that an earlier data set has are read, too, and held to its
            checksums; else those of the same content id (a file's size and time) are taken over.
        images: what is accepted, and how it is stored.
        duplicates: what is searched for, and what is done about it.

    Raises:
        DataError: a setting is out of range.

    """

    test_share: float = 0.2
    split_seed: int = 0
    validation_share: float = 0.0
    max_reject_share: float = 0.01
    images_per_shard: int = 2048
    shard_bytes: int = 128 << 20
    full_check: bool = False
    images: ImageRules = field(default_factory=ImageRules)
    duplicates: DuplicateRules = field(default_factory=DuplicateRules)

    def __post_init__(self) -> None:
        for name in ("test_share", "validation_share"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                raise DataError(f"{name} must be at least 0 and below 1, received {share}")
        if not 0 <= self.max_reject_share <= 1:
            raise DataError(
                f"max_reject_share must be from 0 to 1, received {self.max_reject_share}"
            )
        for name in ("images_per_shard", "shard_bytes"):
            number = getattr(self, name)
            if number < 1:
                raise DataError(f"{name} must be at least 1, received {number}")


def settings_record(settings: PrepareSettings) -> dict[str, Any]:
    """The settings as the manifest and the fingerprint hold them."""
    record: dict[str, Any] = dataclasses.asdict(settings)
    # It decides what is read, not what comes of it.
    del record["full_check"]
    return record


def check_rejects(
    read: int,
    rejected: int,
    reasons: dict[str, int],
    examples: Sequence[str],
    max_reject_share: float,
) -> None:
    """Refuse a dataset of which too much was rejected.

    Raises:
        DataError: it is more than the share allowed, or everything.

    """
    if rejected and (rejected == read or rejected > max_reject_share * read):
        listed = ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items()))
        raise DataError(
            f"{rejected} of {read} images were rejected ({listed}), and the largest share allowed "
            f"(max_reject_share) is {max_reject_share:g}"
            + (f"; the first: {'; '.join(examples)}" if examples else "")
        )


def _choose(field_name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataError(f"{field_name} must be one of {', '.join(known)}, received {value!r}")
