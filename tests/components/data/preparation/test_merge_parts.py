"""Beyond some number of parts, shards read runs of merged parts, and write the same bytes."""

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.components.data.preparation.test_incremental import Pictures
from twofold.components import files
from twofold.components.data.preparation import merge_parts, plan, staging_area, write_shards
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.preparation.staging_area import ShardRange
from twofold.components.data.rules.prepare_settings import DuplicateRules, PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import select_all
from twofold.components.data.verification.verify_dataset import verify_dataset

SPRITES = 400
SETTINGS = PrepareSettings(images_per_shard=40)


@pytest.fixture
def many_parts(monkeypatch):
    """Tasks of ten images, and runs of six of their parts."""
    monkeypatch.setattr(plan, "_TASK_ITEMS", (10, 10))
    monkeypatch.setattr(merge_parts, "MOST_PARTS", 8)
    monkeypatch.setattr(merge_parts, "PARTS_OF_RUN", 6)
    # A few shards at once.
    monkeypatch.setattr(merge_parts, "_ROWS_AT_ONCE", 30)


def sprites(directory, images=SPRITES, settings=SETTINGS, **options):
    source = build_source("dsprites", images=images)
    return prepare(source, directory, name="small", settings=settings, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "set"
    sprites(directory)
    return directory


@pytest.mark.usefixtures("many_parts")
@pytest.mark.parametrize(
    "options",
    [
        (),
        pytest.param(
            ("--direct_running_mode=multi_processing", "--direct_num_workers=2"),
            marks=pytest.mark.long,
        ),
    ],
)
def test_merged_parts_give_the_same_bytes(tmp_path, whole, digests, options, monkeypatch):
    merged = []
    original = merge_parts._merge

    def merge(run, parts, staging):
        merged.append(run)
        original(run, parts, staging)

    monkeypatch.setattr(merge_parts, "_merge", merge)
    sprites(tmp_path / "set", beam_options=options)
    assert digests(tmp_path / "set") == digests(whole)
    assert verify_dataset(tmp_path / "set", decode=False) == []
    assert options or merged == [f"run-{number:05d}" for number in range(7)]


@pytest.mark.usefixtures("many_parts")
def test_a_shard_opens_each_run_once_and_no_part(tmp_path, monkeypatch):
    asked, read = Counter[ShardRange](), Counter[ShardRange]()
    shard: list[ShardRange] = []
    batch, read_range, write = staging_area.Run.batch, files.read_range, write_shards._write

    def counted_batch(run, number):
        asked[shard[-1]] += 1
        assert number == shard[-1].number
        return batch(run, number)

    def counted_range(path, start, stop):
        if shard:
            read[shard[-1]] += 1
            assert "/run-" in path
        return read_range(path, start, stop)

    def one_shard(shard_range, *rest):
        shard.append(shard_range)
        return write(shard_range, *rest)

    def opened(*given):
        assert not shard, "a shard opened a part"
        return open_part(*given)

    open_part = staging_area.open_part
    monkeypatch.setattr(staging_area.Run, "batch", counted_batch)
    monkeypatch.setattr(files, "read_range", counted_range)
    monkeypatch.setattr(write_shards, "_write", one_shard)
    monkeypatch.setattr(write_shards, "open_part", opened)
    sprites(tmp_path / "set")
    # 400 images are 40 parts, which are 7 runs.
    assert len(shard) == len(set(shard)) > 10
    assert set(asked.values()) == {7}
    assert max(read.values()) <= 7


class Twins(Pictures):
    """Pictures of which every key from 150 on looks like one before it."""

    def read(self, task, selected=select_all):
        for item in super().read(task, selected):
            seed = int(item.key) % 150
            image = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            yield replace(item, image=image) if len(item.image) else item


@pytest.mark.usefixtures("many_parts")
def test_images_left_out_and_those_of_an_earlier_dataset_go_through_runs(
    tmp_path, digests, monkeypatch
):
    settings = replace(SETTINGS, duplicates=DuplicateRules(within="remove", leakage="remove"))

    def twins(name, count, **options):
        source = Twins({str(n): "1" for n in range(count)}, tmp_path / "log")
        return prepare(source, tmp_path / name, name="twins", settings=settings, **options)

    twins("earlier", 180)
    merged = twins("merged", 220, previous=tmp_path / "earlier")
    assert len(merge_parts.group_parts([""] * 22)) == 4
    monkeypatch.setattr(merge_parts, "MOST_PARTS", 1000)
    twins("plain", 220)
    assert merged.counts.duplicates == 70
    assert digests(tmp_path / "merged") == digests(tmp_path / "plain")


@pytest.mark.usefixtures("many_parts")
def test_in_a_bucket_a_run_is_read_by_shard(whole, digests):
    directory = "memory://merged/set"
    try:
        sprites(directory)
        for name, digest in digests(whole).items():
            content = files.read_bytes(files.join(directory, name))
            assert hashlib.sha256(content).hexdigest() == digest
    finally:
        files.remove_tree("memory://merged")
