"""Duplicates, leaks and groups that straddle splits: found, counted, and removed where asked."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.prepare_settings import DuplicateRules, PrepareSettings
from twofold.components.data.sources.source import (
    Item,
    SourceInfo,
    position_range,
    positions,
    select_all,
)
from twofold.components.data.store.manifest import IMAGES_FILE
from twofold.components.errors import DataError
from twofold.components.pages.dataset_page import render_report


class Items:
    """A source of the items that it is given."""

    def __init__(self, items, class_names=("a", "b")):
        self._items = items
        self._class_names = class_names

    def info(self):
        fingerprint = repr([(item.key, item.split, item.group) for item in self._items])
        return SourceInfo("items", self._class_names, (), fingerprint, len(self._items))

    def tasks(self, items):
        return positions(0, len(self._items), items)

    def read(self, task, selected=select_all):
        return (self._items[position] for position in position_range(task))


def picture(seed, change=0):
    """Smooth colours, which a perceptual hash tells apart; `change` moves one pixel a little."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    pixels = np.kron(small, np.ones((8, 8, 1), np.uint8))
    pixels[3, 3] ^= np.uint8(change)
    return pixels


def item(key, seed, split, *, change=0, label=0, group=None):
    return Item(key, picture(seed, change), label, split=split, group=group)


OTHERS = [item(f"train/{n}", n, "train") for n in range(20, 40)]
OTHERS += [item(f"test/{n}", n, "test") for n in range(40, 50)]
SAME = [item("train/same", 1, "train"), item("train/twin", 1, "train")]
LEAK = [item("train/leak", 2, "train"), item("test/leak", 2, "test")]
NEAR = [item("train/near", 3, "train"), item("test/near", 3, "test", change=4)]
ALIKE = [item("train/alike", 4, "train"), item("train/alike 2", 4, "train", change=4)]
EVERYTHING = [*OTHERS, *SAME, *LEAK, *NEAR, *ALIKE]


def prepared(tmp_path, items=EVERYTHING, **rules):
    settings = PrepareSettings(duplicates=DuplicateRules(**rules))
    manifest = prepare(
        Items(items), tmp_path / "set", name="x", settings=settings, render_page=render_report
    )
    keys = pq.read_table(tmp_path / "set" / IMAGES_FILE)["key"].to_pylist()
    counts = manifest.counts
    assert counts.read == counts.written + counts.rejected + counts.duplicates
    assert len(keys) == counts.written
    return manifest, {item.key for item in items} - set(keys)


def test_duplicates_and_leaks_are_counted_and_kept(tmp_path):
    manifest, gone = prepared(tmp_path)
    assert gone == set()
    found = manifest.duplicates
    assert (found.exact, found.near, found.leaked) == (4, 8, 2)
    assert (found.removed_within, found.removed_leaked) == (0, 0)
    page = (tmp_path / "set" / "dataset_report.html").read_text()
    assert "train/leak" in page
    assert "test/near" in page


def test_exact_search_finds_equal_pixels_alone(tmp_path):
    found = prepared(tmp_path, search="exact")[0].duplicates
    assert (found.exact, found.near, found.leaked) == (4, None, 1)


def test_without_a_search_nothing_is_said(tmp_path):
    found = prepared(tmp_path, search="off")[0].duplicates
    assert (found.exact, found.near, found.leaked, found.conflicting_labels) == (None,) * 4


def test_removing_leaks_takes_them_from_training(tmp_path):
    manifest, gone = prepared(tmp_path, leakage="remove")
    assert gone == {"train/leak", "train/near"}
    assert manifest.counts.duplicates == manifest.duplicates.removed_leaked == 2
    assert manifest.splits["test"].images == 12


def test_removing_within_keeps_one_of_each_in_a_split(tmp_path):
    manifest, gone = prepared(tmp_path, within="remove")
    assert len(gone & {"train/same", "train/twin"}) == 1
    assert len(gone & {"train/alike", "train/alike 2"}) == 1
    assert len(gone) == manifest.duplicates.removed_within == 2


def test_what_is_kept_does_not_depend_on_the_order_of_the_source(tmp_path):
    _, gone = prepared(tmp_path / "one", within="remove", leakage="remove")
    _, again = prepared(tmp_path / "two", EVERYTHING[::-1], within="remove", leakage="remove")
    assert gone == again


def test_equal_pixels_with_other_labels_are_counted(tmp_path):
    items = [*OTHERS, item("x", 1, "train", label=0), item("y", 1, "train", label=1), *LEAK]
    assert prepared(tmp_path, items)[0].duplicates.conflicting_labels == 2


def test_a_group_in_training_and_in_test_is_a_leak(tmp_path):
    items = [item(f"{n}", 100 + n, ("train", "test")[n % 2], group=f"{n // 2}") for n in range(6)]
    items += [item("alone", 200, "train", group="alone")]
    manifest, gone = prepared(tmp_path, [*OTHERS, *items], leakage="remove")
    assert manifest.duplicates.leaked == 3
    assert gone == {"0", "2", "4"}


def test_two_images_of_one_key_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"two images have the key 'train/20'"):
        prepared(tmp_path, [*OTHERS, item("train/20", 77, "train")])


def test_a_source_that_gives_less_than_it_listed_is_refused(tmp_path):
    class Short(Items):
        def info(self):
            info = super().info()
            return SourceInfo(info.kind, info.class_names, (), info.fingerprint, info.items + 1)

    with pytest.raises(DataError, match="listed 31 images and gave 30"):
        prepare(Short(OTHERS), tmp_path / "set", name="x")
    assert list(tmp_path.iterdir()) == []


def test_rejects_are_listed_with_reason_and_checksum(tmp_path):
    broken = Item("train/broken", b"no image", split="train")
    settings = PrepareSettings(max_reject_share=0.5)
    manifest = prepare(Items([*OTHERS, broken]), tmp_path / "set", name="x", settings=settings)
    (line,) = (tmp_path / "set" / "rejects.jsonl").read_text().splitlines()
    reject = json.loads(line)
    assert reject["key"] == "train/broken"
    assert reject["reason"] in manifest.counts.reasons
    assert len(reject["source_sha256"]) == 64
