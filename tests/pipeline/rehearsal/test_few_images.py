"""Few images of a source stand for all of them: from all over it, with their splits."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import Item, SourceInfo, position_range, positions
from twofold.components.errors import DataError
from twofold.pipeline.rehearsal.few_images import FewImages, choose_items, fill_splits

SETTINGS = PrepareSettings(test_share=0.2, validation_share=0.0)


class Sorted:
    """A thousand images, sorted by class, of which every tenth is a single colour."""

    def info(self) -> SourceInfo:
        return SourceInfo("npz", ("cat", "dog"), (), "f", 1000)

    def tasks(self, items: int) -> Iterator[bytes]:
        return positions(0, 1000, items)

    def read(self, task: bytes, selected: object = None) -> Iterator[Item]:
        for index in position_range(task):
            pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3)).astype(np.uint8)
            image = np.zeros_like(pixels) if index % 10 == 0 else pixels
            yield Item(f"{index:04}", image, label=index // 500)


def split_counts(items: Sequence[Item]) -> dict[str, int]:
    return {
        name: sum(one.split == name for one in items) for name in {str(one.split) for one in items}
    }


def test_images_that_can_be_used_are_chosen_from_all_over_a_source() -> None:
    chosen = choose_items(Sorted(), SETTINGS, count=90)
    assert len(chosen) <= 90
    assert {item.label for item in chosen} == {0, 1}
    assert not [item for item in chosen if int(item.key) % 10 == 0]
    # Five standard deviations of a fifth of 90.
    assert abs(split_counts(chosen)["test"] - 0.2 * len(chosen)) < 5 * np.sqrt(90 * 0.2 * 0.8)


def test_a_source_without_a_usable_image_is_refused() -> None:
    class Damaged(Sorted):
        def read(self, task: bytes, selected: object = None) -> Iterator[Item]:
            yield Item(task.decode(), b"no image")

    with pytest.raises(DataError, match="none of 100 images of the source can be used"):
        choose_items(Damaged(), SETTINGS, count=100)


def test_copies_fill_the_training_images_and_keep_their_split() -> None:
    items = [
        Item("a", b"a", label=0, split="train"),
        Item("b", b"b", label=-1, split="train"),
        Item("c", b"c", label=0, split="test"),
    ]
    filled = fill_splits(items, SETTINGS, images=4)
    # Four with a label, and as many without.
    assert split_counts(filled) == {"train": 8, "test": 1}
    assert sum(item.label >= 0 for item in filled if item.split == "train") == 4
    assert len({item.key for item in filled}) == len(filled)


def test_a_held_out_split_that_none_of_few_falls_into_is_there() -> None:
    items = [Item(str(index), b"i", label=index % 2, split="train") for index in range(10)]
    settings = dataclasses.replace(SETTINGS, validation_share=0.01)
    assert set(split_counts(fill_splits(items, settings, images=2))) == {
        "train",
        "test",
        "validation",
    }


def test_few_images_are_a_source_of_their_own() -> None:
    items = fill_splits(choose_items(Sorted(), SETTINGS, count=20), SETTINGS, images=4)
    few = FewImages(Sorted().info(), items)
    read = [item for task in few.tasks(3) for item in few.read(task)]
    assert [item.key for item in read] == [item.key for item in items]
    assert few.info().items == len(items)
    assert few.info().fingerprint != Sorted().info().fingerprint
    assert [item.image for item in few.read(b"0 1", lambda key, content: False)] == [b""]
