"""Few images of a source, which stand for all of them in a rehearsal."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import random
from collections.abc import Iterator, Sequence

from twofold.components.data.preparation.scan import split_of
from twofold.components.data.rules.image_rules import RejectedError, check
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import (
    Item,
    Select,
    Source,
    SourceInfo,
    position_range,
    positions,
    select_all,
)
from twofold.components.errors import DataError

# How many different images stand for all; what a batch needs beyond them are copies.
_DIFFERENT = 256
_HELD_OUT = ("test", "validation")


@dataclasses.dataclass(frozen=True)
class FewImages:
    """A source of images that were read before, each with the split that it falls into.

    Attributes:
        known: what the source that they come from says about itself.
        items: the images.

    """

    known: SourceInfo
    items: tuple[Item, ...]

    def info(self) -> SourceInfo:
        """Returns what the whole source says, of fewer images and with nothing to remark."""
        keys = "\n".join(f"{item.split} {item.key}" for item in self.items)
        few = hashlib.sha256(f"{self.known.fingerprint}\n{keys}".encode()).hexdigest()
        return dataclasses.replace(
            self.known, fingerprint=few, items=len(self.items), skipped={}, taken_as=()
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Returns tasks of consecutive images."""
        return positions(0, len(self.items), items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """Gives the images of a task."""
        for index in position_range(task):
            item = self.items[index]
            wanted = selected(item.key, item.content_id)
            yield item if wanted else dataclasses.replace(item, image=b"")


def choose_items(source: Source, settings: PrepareSettings, count: int = _DIFFERENT) -> list[Item]:
    """Reads images from all over a source that can be used, with the splits they fall into.

    Args:
        source: of all images.
        settings: by which all of them are to be prepared.
        count: at most so many.

    Raises:
        DataError: if none of those that were looked at can be used.

    """
    stride = max(1, source.info().items // count)
    chosen: list[Item] = []
    looked_at = 0
    # One of each stretch, not at equal distances, in which there may be a pattern.
    drawn, wanted = random.Random(0), -1
    for index, task in enumerate(source.tasks(1)):
        if index % stride == 0:
            wanted = index + drawn.randrange(stride)
        for item in source.read(task) if index == wanted else ():
            looked_at += 1
            if item.problem is None and _is_sound(item, settings):
                chosen.append(dataclasses.replace(item, split=split_of(item, settings), group=None))
        if len(chosen) >= count:
            break
    if not chosen:
        raise DataError(f"none of {looked_at} images of the source can be used")
    return chosen


def _is_sound(item: Item, settings: PrepareSettings) -> bool:
    try:
        check(item.image, settings.images)
    except RejectedError:
        return False
    return True


def fill_splits(items: Sequence[Item], settings: PrepareSettings, images: int) -> tuple[Item, ...]:
    """Copies images until each split to train on has enough of them, and held-out ones are there.

    Args:
        items: with their splits.
        settings: by which all images are to be prepared.
        images: how many a split to train on needs, of those with a label where it has any.

    """
    splits: dict[str, list[Item]] = {}
    for item in items:
        splits.setdefault(str(item.split), []).append(item)
    train = splits.get("train") or splits.get("unlabelled") or list(items)
    expected = {
        "validation": settings.validation_share > 0,
        "test": settings.test_share > 0 and not any(name in splits for name in _HELD_OUT),
    }
    for name, needed in expected.items():
        # A small share may have none of so few.
        if needed and name not in splits:
            splits[name] = [_copy(item, name, 0) for item in train[:: max(1, len(train) // 32)]]
    for name in ("train", "unlabelled"):
        if name in splits:
            splits[name] = _repeat(splits[name], images)
    return tuple(item for part in splits.values() for item in part)


def _repeat(items: Sequence[Item], images: int) -> list[Item]:
    labelled = sum(item.label >= 0 for item in items)
    wanted = math.ceil(images * len(items) / labelled) if labelled else images
    copies = (_copy(item, str(item.split), copy) for copy in itertools.count(1) for item in items)
    more = max(0, wanted - len(items))
    return [*items, *itertools.islice(copies, more)]


def _copy(item: Item, split: str, number: int) -> Item:
    return dataclasses.replace(item, key=f"{item.key}~{split}-{number}", split=split)
