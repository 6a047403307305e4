import dataclasses
import hashlib
import json
import logging
import shutil
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.preparation.scan import split_of
from twofold.components.data.rules.image_rules import ImageRules
from twofold.components.data.rules.prepare_settings import (
    DuplicateRules,
    PrepareSettings,
    settings_record,
)
from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import Item, select_all
from twofold.components.data.store import record_schema
from twofold.components.data.store.manifest import dataset_fingerprint, load_manifest
from twofold.components.errors import DataError
from twofold.components.pages.dataset_page import render_report


def records(directory, split):
    """The parsed records of a split, in order."""
    manifest = load_manifest(directory)
    files = [str(directory / shard.file) for shard in manifest.splits[split].shards]
    dataset = tf.data.TFRecordDataset(files).batch(10_000)
    return record_schema.parse(next(iter(dataset)), len(manifest.latent_names))


def keys(directory, split):
    return [key.decode() for key in records(directory, split)[record_schema.KEY].numpy()]


@pytest.fixture
def good_and_bad(tmp_path, write_files, class_files, image_bytes):
    """60 good images, and one of each kind of bad one."""
    bad = {
        "cat/empty.jpg": b"",
        "dog/text.png": b"this is no image",
        "frog/cut.jpg": image_bytes(0, size=(40, 40))[:400],
    }
    return write_files(tmp_path / "mixed", {**class_files, **bad})


def test_the_manifest_says_what_was_written(prepared):
    manifest = load_manifest(prepared)
    assert manifest.name == "small"
    assert manifest.channels == 1
    assert manifest.image_sizes == {"64x64": 500}
    assert manifest.class_names == ("square", "ellipse", "heart")
    assert manifest.counts.model_dump() == {
        "read": 500,
        "written": 500,
        "rejected": 0,
        "duplicates": 0,
        "reasons": {},
        "repairs": {},
    }
    assert sum(split.images for split in manifest.splits.values()) == 500
    for name, split in manifest.splits.items():
        parsed = records(prepared, name)
        assert split.images == len(parsed[record_schema.KEY]) == sum(split.labels.values())
        labels = Counter(
            manifest.class_names[label] for label in parsed[record_schema.LABEL].numpy()
        )
        assert split.labels == labels
        for number, shard in enumerate(split.shards):
            content = (prepared / shard.file).read_bytes()
            assert shard.file == f"{name}-{number:05d}-of-{len(split.shards):05d}.tfrecord"
            assert shard.sha256 == hashlib.sha256(content).hexdigest()
            assert shard.bytes == len(content)
    files = {file.file for file in manifest.every_file}
    assert {"images.parquet", "dataset_report.html", "dataset_info.json"} < files
    assert {path.name for path in prepared.iterdir()} == files | {"manifest.json"}


def test_every_image_arrives_unchanged(prepared):
    source = build_source("dsprites", images=500)
    items = {item.key: item for task in source.tasks(200) for item in source.read(task)}
    for split in ("train", "test"):
        parsed = {name: values.numpy() for name, values in records(prepared, split).items()}
        for i, key in enumerate(parsed[record_schema.KEY]):
            item = items.pop(key.decode())
            np.testing.assert_array_equal(
                tf.io.decode_png(parsed[record_schema.IMAGE][i]), item.image
            )
            assert parsed[record_schema.LABEL][i] == item.label
            np.testing.assert_allclose(parsed[record_schema.LATENTS][i], item.latents, rtol=1e-6)
    assert not items


def test_files_are_stored_as_they_are(tmp_path, containers, class_files):
    prepare(build_source("folder", path=containers["zip"]), tmp_path / "set", name="zip")
    for split in ("train", "test"):
        parsed = records(tmp_path / "set", split)
        pairs = zip(
            parsed[record_schema.KEY].numpy(), parsed[record_schema.IMAGE].numpy(), strict=True
        )
        assert all(class_files[key.decode()] == content for key, content in pairs)


def test_statistics_are_those_of_the_training_images(prepared):
    train = records(prepared, "train")[record_schema.IMAGE].numpy()
    pixels = np.stack([tf.io.decode_png(image) for image in train]) / 255
    statistics = load_manifest(prepared).statistics
    assert statistics.splits == ("train",)
    np.testing.assert_allclose(statistics.mean, pixels.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(statistics.std, pixels.std((0, 1, 2)), rtol=1e-9)


def test_every_container_gives_the_same_shards(tmp_path, containers, digests):
    made = []
    for kind, path in containers.items():
        prepare(
            build_source("folder", path=path),
            tmp_path / kind,
            name="x",
            settings=PrepareSettings(images_per_shard=9),
        )
        made.append({k: v for k, v in digests(tmp_path / kind).items() if k.endswith(".tfrecord")})
    assert len(made[0]) >= 4
    assert all(each == made[0] for each in made)


def prepare_sprites(target, **options):
    """Writes the data set of the fixture ``prepared`` once more."""
    prepare(
        build_source("dsprites", images=500),
        target,
        name="small",
        settings=PrepareSettings(images_per_shard=150),
        render_page=render_report,
        **options,
    )


def test_a_second_run_writes_the_same_bytes(tmp_path, prepared, digests):
    prepare_sprites(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(prepared)


def test_progress_rises_to_the_number_of_images_and_changes_no_byte(tmp_path, prepared, digests):
    told: list[int] = []
    prepare_sprites(tmp_path / "told", progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 500
    assert digests(tmp_path / "told") == digests(prepared)


@pytest.mark.long
def test_two_worker_processes_write_the_same_bytes(tmp_path, prepared, digests):
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    prepare_sprites(tmp_path / "two", beam_options=options)
    assert digests(tmp_path / "two") == digests(prepared)


def test_two_worker_threads_write_the_same_bytes(tmp_path, prepared, digests):
    options = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    prepare_sprites(tmp_path / "two", beam_options=options)
    assert digests(tmp_path / "two") == digests(prepared)


def test_a_prepared_folder_is_left_as_it_is(tmp_path, prepared):
    directory = shutil.copytree(prepared, tmp_path / "set")
    times = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    source = build_source("dsprites", images=500)
    manifest = prepare(
        source, directory, name="small", settings=PrepareSettings(images_per_shard=150)
    )
    assert manifest == load_manifest(prepared)
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == times


def test_a_folder_that_holds_something_else_is_refused(tmp_path, prepared):
    other = build_source("dsprites", images=10)
    with pytest.raises(DataError, match="holds another dataset"):
        prepare(other, prepared, name="other")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="exists and is no prepared dataset"):
        prepare(other, tmp_path, name="other")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def fingerprint_of(info, settings):
    return dataset_fingerprint(info.kind, info.fingerprint, settings_record(settings))


def test_the_fingerprint_follows_what_matters():
    info = build_source("dsprites", images=10).info()
    plain = fingerprint_of(info, PrepareSettings())
    assert plain == fingerprint_of(info, PrepareSettings(test_share=0.2, split_seed=0))
    assert plain == fingerprint_of(info, PrepareSettings(max_reject_share=0.5))
    other = build_source("dsprites", images=11).info()
    different = {
        fingerprint_of(other, PrepareSettings()),
        *(
            fingerprint_of(info, settings)
            for settings in (
                PrepareSettings(test_share=0.3),
                PrepareSettings(split_seed=1),
                PrepareSettings(validation_share=0.1),
                PrepareSettings(images_per_shard=9),
                PrepareSettings(shard_bytes=9),
                PrepareSettings(images=ImageRules(stored_as="png")),
                PrepareSettings(duplicates=DuplicateRules(bits=2)),
            )
        ),
    }
    assert len(different | {plain}) == 9


def test_the_split_hashes_from_the_key():
    items = [Item(f"images/{i}.png", b"") for i in range(20_000)]
    settings = PrepareSettings(test_share=0.2)
    drawn = [split_of(item, settings) for item in items]
    assert drawn == [split_of(item, settings) for item in items]
    assert abs(drawn.count("test") / len(items) - 0.2) < 0.01
    larger = PrepareSettings(test_share=0.3)
    assert all(
        split_of(item, larger) == "test"
        for item, split in zip(items, drawn, strict=True)
        if split == "test"
    )
    reseeded = PrepareSettings(test_share=0.2, split_seed=1)
    both = sum(
        split == split_of(item, reseeded) == "test"
        for item, split in zip(items, drawn, strict=True)
    )
    assert abs(both / len(items) - 0.04) < 0.01


def test_a_group_goes_to_one_split_as_a_whole():
    items = [Item(f"{i}.png", b"", group=f"patient {i % 50}") for i in range(500)]
    settings = PrepareSettings(test_share=0.3, validation_share=0.2)
    found = {(item.group, split_of(item, settings)) for item in items}
    assert len(found) == 50
    assert {split for _, split in found} == {"train", "validation", "test"}
    alone = Item("patient 3", b"")
    assert split_of(alone, settings) == split_of(dataclasses.replace(alone, group=None), settings)


def test_validation_takes_its_share_of_the_training_images_and_none_of_the_others():
    items = [Item(f"images/{i}.png", b"") for i in range(20_000)]
    whole, held_out = PrepareSettings(), PrepareSettings(validation_share=0.25)
    before, after = ([split_of(item, one) for item in items] for one in (whole, held_out))
    assert abs(after.count("validation") / before.count("train") - 0.25) < 0.015
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert set(changed) == {("train", "validation")}
    for split in ("test", "unlabelled"):
        own = [split_of(dataclasses.replace(item, split=split), held_out) for item in items[:500]]
        assert set(own) == {split}


def test_training_images_are_not_mixed_with_a_sources_own_validation_images():
    item = Item("val/cat/1.jpg", b"", split="validation")
    assert split_of(item, PrepareSettings()) == "validation"
    with pytest.raises(DataError, match=r"val/cat/1.jpg .* expected data.validation_share=0, rec"):
        split_of(item, PrepareSettings(validation_share=0.1))


def test_a_sources_own_splits_are_kept(tmp_path, write_files, image_bytes):
    files = {f"train/cat/{i}.jpg": image_bytes(i) for i in range(9)}
    files |= {f"val/cat/{i}.jpg": image_bytes(50 + i) for i in range(4)}
    source = build_source("folder", path=write_files(tmp_path / "images", files))
    manifest = prepare(source, tmp_path / "set", name="own")
    assert {name: split.images for name, split in manifest.splits.items()} == {
        "train": 9,
        "validation": 4,
    }
    assert manifest.statistics.splits == ("train",)
    assert sorted(keys(tmp_path / "set", "validation")) == [f"val/cat/{i}.jpg" for i in range(4)]


def test_bad_files_are_counted_and_listed_and_the_run_goes_on(tmp_path, good_and_bad):
    source = build_source("folder", path=good_and_bad)
    manifest = prepare(
        source, tmp_path / "set", name="mixed", settings=PrepareSettings(max_reject_share=0.05)
    )
    assert manifest.counts.model_dump() == {
        "read": 63,
        "written": 60,
        "rejected": 3,
        "reasons": {"damaged": 1, "empty file": 1, "wrong format": 1},
        "duplicates": 0,
        "repairs": {},
    }
    lines = (tmp_path / "set" / "rejects.jsonl").read_text().splitlines()
    rejects = {line["key"]: line["reason"] for line in map(json.loads, lines)}
    assert rejects == {
        "cat/empty.jpg": "empty file",
        "dog/text.png": "wrong format",
        "frog/cut.jpg": "damaged",
    }
    written = keys(tmp_path / "set", "train") + keys(tmp_path / "set", "test")
    assert len(written) == 60
    assert not set(written) & set(rejects)


def test_past_the_share_of_rejects_nothing_is_published(tmp_path, good_and_bad):
    source = build_source("folder", path=good_and_bad)
    with pytest.raises(DataError, match=r"3 of 63 images were rejected .*0\.04.*cat/empty\.jpg"):
        prepare(
            source,
            tmp_path / "out" / "set",
            name="mixed",
            settings=PrepareSettings(max_reject_share=0.04),
        )
    assert not (tmp_path / "out" / "set").exists()


def test_a_lower_share_also_refuses_what_is_already_there(tmp_path, good_and_bad):
    source = build_source("folder", path=good_and_bad)
    prepare(source, tmp_path / "set", name="mixed", settings=PrepareSettings(max_reject_share=0.05))
    with pytest.raises(DataError, match="3 of 63 images were rejected"):
        prepare(
            source, tmp_path / "set", name="mixed", settings=PrepareSettings(max_reject_share=0.01)
        )


def test_a_source_of_nothing_usable_is_refused(tmp_path, write_files):
    source = build_source("folder", path=write_files(tmp_path / "bad", {"a/1.jpg": b"text"}))
    with pytest.raises(DataError, match="1 of 1 images were rejected"):
        prepare(
            source, tmp_path / "set", name="bad", settings=PrepareSettings(max_reject_share=1.0)
        )


class FailingSource:
    """Images that cannot be read."""

    def __init__(self, error):
        self._error = error
        self._inner = build_source("dsprites", images=600)

    def info(self):
        return self._inner.info()

    def tasks(self, items):
        return self._inner.tasks(items)

    def read(self, task, selected=select_all):
        raise self._error


@pytest.mark.parametrize("error", [OSError("disk gone"), MemoryError("full")])
def test_a_failure_before_any_image_is_read_leaves_nothing(tmp_path, error):
    with pytest.raises(Exception, match=str(error)) as caught:
        prepare(FailingSource(error), tmp_path / "set", name="failing")
    assert not hasattr(caught.value, "__notes__")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "mode",
    ["in_memory", "multi_threading", pytest.param("multi_processing", marks=pytest.mark.long)],
)
def test_what_a_worker_finds_wrong_with_the_input_stays_a_data_error(tmp_path, mode):
    source = FailingSource(DataError("shelf/book.zip: changed while it was being prepared"))
    options = [f"--direct_running_mode={mode}"]
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "set", name="failing", beam_options=options)
    assert str(caught.value) == "shelf/book.zip: changed while it was being prepared"
    assert list(tmp_path.iterdir()) == []


def test_the_terminal_and_the_logging_are_left_alone(tmp_path, capfd, write_files, image_bytes):
    handlers, disabled = list(logging.root.handlers), logging.root.manager.disable
    palette = image_bytes(0, mode="P", file_format="PNG", transparency=bytes(range(200)))
    source = build_source("folder", path=write_files(tmp_path / "images", {"1.png": palette}))
    prepare(source, tmp_path / "set", name="quiet", settings=PrepareSettings(test_share=0))
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == disabled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_share": 1.0}, "test_share must be at least 0 and below 1, received 1.0"),
        ({"max_reject_share": 1.5}, "max_reject_share must be from 0 to 1, received 1.5"),
        ({"images_per_shard": 0}, "images_per_shard must be at least 1, received 0"),
        ({"shard_bytes": 0}, "shard_bytes must be at least 1, received 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(DataError, match=message):
        PrepareSettings(**settings)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"search": "all"}, "duplicates must be one of off, exact, near, received 'all'"),
        ({"within": "keep"}, "on_duplicate must be one of report, remove, received 'keep'"),
        ({"leakage": "drop"}, "on_leakage must be one of report, remove, received 'drop'"),
        ({"bits": 13}, "near_duplicate_bits must be from 0 to 12, received 13"),
    ],
)
def test_rules_for_duplicates_out_of_range_are_refused(rules, message):
    with pytest.raises(DataError, match=message):
        DuplicateRules(**rules)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--runnner=FlinkRunner", "unknown Beam options: --runnner"),
        ("--runner=NoRunner", "Unexpected pipeline runner: NoRunner"),
        ("--direct_num_workers=many", "argument --direct_num_workers: invalid int value: 'many'"),
    ],
)
def test_beam_options_that_mean_nothing_are_refused(tmp_path, capfd, option, message):
    source = build_source("dsprites", images=5)
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path / "set", name="x", beam_options=[option])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_runner_can_be_named(tmp_path, prepared, digests):
    prepare_sprites(tmp_path / "x", beam_options=["--runner=FnApiRunner"])
    assert digests(tmp_path / "x") == digests(prepared)


def test_no_test_share_means_no_test_split(tmp_path):
    source = build_source("dsprites", images=40)
    manifest = prepare(source, tmp_path / "set", name="x", settings=PrepareSettings(test_share=0))
    assert list(manifest.splits) == ["train"]
