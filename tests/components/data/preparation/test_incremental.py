"""An earlier dataset saves work and changes no byte."""

import dataclasses

import numpy as np
import pytest

from twofold.components.data.preparation.plan import find_previous
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.image_rules import ImageRules
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import (
    Item,
    SourceInfo,
    position_range,
    positions,
    select_all,
)
from twofold.components.data.store.manifest import load_manifest

SETTINGS = PrepareSettings(images_per_shard=40, max_reject_share=0.2)


class Pictures:
    """Images drawn from their names.

    Args:
        identities: of each key; None is a picture that cannot be read.
        log: where it notes what it is made to read, in whatever process.

    """

    def __init__(self, content_ids, log, class_names=("even", "odd")):
        self.content_ids = content_ids
        self.log = log
        self.class_names = class_names

    @property
    def reads(self):
        return self.log.read_text().split() if self.log.exists() else []

    def info(self):
        fingerprint = repr((sorted(self.content_ids.items(), key=str), self.class_names))
        return SourceInfo("pictures", self.class_names, (), fingerprint, len(self.content_ids))

    def tasks(self, items):
        return positions(0, len(self.content_ids), items)

    def read(self, task, selected=select_all):
        for position in position_range(task):
            key, content_id = list(self.content_ids.items())[position]
            label = self.class_names.index(("even", "odd")[int(key) % 2])
            if content_id is None:
                yield Item(key, b"", label, problem="gone")
            elif selected(key, content_id):
                with self.log.open("a") as log:
                    log.write(f"{key}\n")
                rng = np.random.default_rng([int(key), int(content_id)])
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                yield Item(key, pixels, label, content_id=content_id)
            else:
                yield Item(key, b"", label, content_id=content_id)


BEFORE = {str(n): "1" for n in range(400)}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    directory = tmp_path_factory.mktemp("earlier") / "set"
    prepare(Pictures(BEFORE, directory.parent / "log"), directory, name="x", settings=SETTINGS)
    return directory


def shards(directory):
    manifest = load_manifest(directory)
    return [directory / shard.file for split in manifest.splits.values() for shard in split.shards]


def prepare_both(tmp_path, earlier, content_ids, **options):
    """With and without the earlier dataset; the source that was read with it."""
    source, other = (Pictures(content_ids, tmp_path / name, **options) for name in ("log", "all"))
    prepare(source, tmp_path / "with", name="x", settings=SETTINGS, previous=earlier)
    prepare(other, tmp_path / "without", name="x", settings=SETTINGS)
    return source


def linked(directory):
    return [path for path in shards(directory) if path.stat().st_nlink > 1]


def test_a_new_image_rewrites_the_one_shard_that_it_falls_into(tmp_path, earlier, digests):
    source = prepare_both(tmp_path, earlier, {**BEFORE, "1000": "1"})
    assert source.reads == ["1000"]
    assert len(shards(tmp_path / "with")) - len(linked(tmp_path / "with")) <= 2
    assert len(linked(tmp_path / "with")) >= 9
    assert digests(tmp_path / "with") == digests(tmp_path / "without")


def test_a_changed_image_is_read_again(tmp_path, earlier, digests):
    source = prepare_both(tmp_path, earlier, {**BEFORE, "7": "2"})
    assert source.reads == ["7"]
    assert len(shards(tmp_path / "with")) - len(linked(tmp_path / "with")) == 1
    assert digests(tmp_path / "with") == digests(tmp_path / "without")


def test_an_image_that_went_leaves_its_shard_only(tmp_path, earlier, digests):
    source = prepare_both(tmp_path, earlier, {k: v for k, v in BEFORE.items() if k != "11"})
    assert source.reads == []
    assert len(shards(tmp_path / "with")) - len(linked(tmp_path / "with")) <= 1
    assert digests(tmp_path / "with") == digests(tmp_path / "without")


def test_other_labels_write_all_shards_anew_from_the_bytes_at_hand(tmp_path, earlier, digests):
    source = prepare_both(tmp_path, earlier, BEFORE, class_names=("even", "none", "odd"))
    assert source.reads == []
    assert digests(tmp_path / "with") == digests(tmp_path / "without")


def test_what_could_not_be_read_before_is_tried_again(tmp_path, digests):
    broken = {**BEFORE, "5": None}
    source = Pictures(broken, tmp_path / "before")
    prepare(source, tmp_path / "earlier", name="x", settings=SETTINGS)
    source = prepare_both(tmp_path, tmp_path / "earlier", BEFORE)
    assert source.reads == ["5"]
    assert digests(tmp_path / "with") == digests(tmp_path / "without")


class Unnoticed(Pictures):
    """Pictures of which one has changed, while its content id (size and time) has not."""

    changed = "7"

    def read(self, task, selected=select_all):
        for item in super().read(task, selected):
            if item.key == self.changed and len(item.image):
                yield dataclasses.replace(item, image=item.image[::-1])
            else:
                yield item


def test_a_full_check_finds_what_size_and_time_do_not_tell(tmp_path, earlier, digests):
    content_ids = {**BEFORE, "1000": "1"}
    whole = tmp_path / "whole"
    prepare(Unnoticed(content_ids, tmp_path / "a"), whole, name="x", settings=SETTINGS)
    trusting = tmp_path / "trusting"
    source = Unnoticed(content_ids, tmp_path / "b")
    prepare(source, trusting, name="x", settings=SETTINGS, previous=earlier)
    assert source.reads == ["1000"]
    assert digests(trusting) != digests(whole)
    checked = tmp_path / "checked"
    source, full = (
        Unnoticed(content_ids, tmp_path / "c"),
        dataclasses.replace(SETTINGS, full_check=True),
    )
    prepare(source, checked, name="x", settings=full, previous=earlier)
    assert len(source.reads) == 401
    assert digests(checked) == digests(whole)
    assert len(linked(checked)) >= 8


def test_a_dataset_stored_otherwise_is_no_help(tmp_path, earlier):
    settings = PrepareSettings(images=ImageRules(stored_as="raw"))
    source = Pictures(BEFORE, tmp_path / "log")
    prepare(source, tmp_path / "set", name="x", settings=settings, previous=earlier)
    assert len(source.reads) == 400


def test_the_newest_fitting_dataset_of_a_folder_is_found(tmp_path, earlier):
    info = Pictures(BEFORE, tmp_path / "log").info()
    assert find_previous(earlier.parent, info, SETTINGS) == str(earlier)
    assert find_previous(tmp_path, info, SETTINGS) is None
    assert (
        find_previous(earlier.parent, build_source("dsprites", images=5).info(), SETTINGS) is None
    )
    raw = PrepareSettings(images=ImageRules(stored_as="raw"))
    assert find_previous(earlier.parent, info, raw) is None
