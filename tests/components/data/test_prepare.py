import dataclasses
import hashlib
import json
import logging
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from components.data import schema
from components.data.errors import DataError
from components.data.manifest import load_manifest
from components.data.prepare import dataset_fingerprint, prepare
from components.data.shards import Plan, images_done
from components.data.sources import build_source
from components.data.sources.base import Item


def digests(directory):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }


def records(directory, split):
    """The parsed records of a split, in order."""
    manifest = load_manifest(directory)
    files = [str(directory / shard.file) for shard in manifest.splits[split].shards]
    dataset = tf.data.TFRecordDataset(files).batch(10_000)
    return schema.parse(next(iter(dataset)), len(manifest.latent_names))


def keys(directory, split):
    return [key.decode() for key in records(directory, split)[schema.KEY].numpy()]


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
        "reasons": {},
    }
    assert sum(split.images for split in manifest.splits.values()) == 500
    for name, split in manifest.splits.items():
        parsed = records(prepared, name)
        assert split.images == len(parsed[schema.KEY]) == sum(split.labels.values())
        labels = Counter(manifest.class_names[label] for label in parsed[schema.LABEL].numpy())
        assert split.labels == labels
        for number, shard in enumerate(split.shards):
            content = (prepared / shard.file).read_bytes()
            assert shard.file == f"{name}-{number:05d}-of-{len(split.shards):05d}.tfrecord"
            assert shard.sha256 == hashlib.sha256(content).hexdigest()
            assert shard.bytes == len(content)
    files = {shard.file for split in manifest.splits.values() for shard in split.shards}
    assert {path.name for path in prepared.iterdir()} == files | {"manifest.json"}


def test_every_image_arrives_unchanged(prepared):
    source = build_source("dsprites", images=500)
    items = {item.key: item for chunk in source.chunks() for item in source.read(chunk)}
    for split in ("train", "test"):
        parsed = {name: values.numpy() for name, values in records(prepared, split).items()}
        for i, key in enumerate(parsed[schema.KEY]):
            item = items.pop(key.decode())
            np.testing.assert_array_equal(tf.io.decode_png(parsed[schema.IMAGE][i]), item.image)
            assert parsed[schema.LABEL][i] == item.label
            np.testing.assert_allclose(parsed[schema.LATENTS][i], item.latents, rtol=1e-6)
    assert not items


def test_files_are_stored_as_they_are(tmp_path, containers, class_files):
    prepare(build_source("folder", path=containers["zip"]), tmp_path / "set", name="zip")
    for split in ("train", "test"):
        parsed = records(tmp_path / "set", split)
        pairs = zip(parsed[schema.KEY].numpy(), parsed[schema.IMAGE].numpy(), strict=True)
        assert all(class_files[key.decode()] == content for key, content in pairs)


def test_statistics_are_those_of_the_training_images(prepared):
    train = records(prepared, "train")[schema.IMAGE].numpy()
    pixels = np.stack([tf.io.decode_png(image) for image in train]) / 255
    statistics = load_manifest(prepared).statistics
    assert statistics.splits == ("train",)
    np.testing.assert_allclose(statistics.mean, pixels.mean((0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(statistics.std, pixels.std((0, 1, 2)), rtol=1e-9)


def test_every_container_gives_the_same_shards(tmp_path, containers):
    made = []
    for kind, path in containers.items():
        prepare(build_source("folder", path=path), tmp_path / kind, name="x", images_per_shard=9)
        made.append({k: v for k, v in digests(tmp_path / kind).items() if k != "manifest.json"})
    assert len(made[0]) >= 4
    assert all(each == made[0] for each in made)


def test_a_second_run_writes_the_same_bytes(tmp_path, prepared):
    source = build_source("dsprites", images=500)
    prepare(source, tmp_path / "again", name="small", images_per_shard=150)
    assert digests(tmp_path / "again") == digests(prepared)


def test_progress_rises_to_the_number_of_images_and_changes_no_byte(tmp_path, prepared):
    told = []
    source = build_source("dsprites", images=500)
    prepare(source, tmp_path / "told", name="small", images_per_shard=150, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 500
    assert digests(tmp_path / "told") == digests(prepared)


def test_an_image_that_is_checked_and_not_yet_written_is_half_done(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in ("checked 0 256", "checked 256 400", "images train 00000.tfrecord.0a1b"):
        (tmp_path / "parts" / name).touch()
    (tmp_path / "parts" / "images train 00000.json").write_text('{"images": 100}')
    assert images_done(tmp_path) == (400 + 100) // 2


@pytest.mark.long
def test_two_worker_processes_write_the_same_bytes(tmp_path, prepared):
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    source = build_source("dsprites", images=500)
    prepare(source, tmp_path / "two", name="small", images_per_shard=150, beam_options=options)
    assert digests(tmp_path / "two") == digests(prepared)


def test_two_worker_threads_write_the_same_bytes(tmp_path, prepared):
    options = ["--direct_running_mode=multi_threading", "--direct_num_workers=2"]
    source = build_source("dsprites", images=500)
    prepare(source, tmp_path / "two", name="small", images_per_shard=150, beam_options=options)
    assert digests(tmp_path / "two") == digests(prepared)


def test_a_prepared_folder_is_left_as_it_is(tmp_path, prepared):
    directory = shutil.copytree(prepared, tmp_path / "set")
    times = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    source = build_source("dsprites", images=500)
    manifest = prepare(source, directory, name="small", images_per_shard=150)
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


def test_the_fingerprint_follows_what_matters():
    info = build_source("dsprites", images=10).info()
    plain = dataset_fingerprint(info)
    assert plain == dataset_fingerprint(info, test_share=0.2, split_seed=0)
    other = build_source("dsprites", images=11).info()
    different = {
        dataset_fingerprint(other),
        dataset_fingerprint(info, test_share=0.3),
        dataset_fingerprint(info, split_seed=1),
        dataset_fingerprint(info, validation_share=0.1),
        dataset_fingerprint(info, images_per_shard=9),
    }
    assert len(different | {plain}) == 6


def test_the_split_hashes_from_the_key():
    items = [Item(f"images/{i}.png", b"") for i in range(20_000)]
    plan = Plan({}, test_share=0.2, split_seed=0)
    drawn = [plan.split_of(item) for item in items]
    assert drawn == [plan.split_of(item) for item in items]
    assert abs(drawn.count("test") / len(items) - 0.2) < 0.01
    larger = dataclasses.replace(plan, test_share=0.3)
    assert all(
        larger.split_of(item) == "test"
        for item, split in zip(items, drawn, strict=True)
        if split == "test"
    )
    reseeded = dataclasses.replace(plan, split_seed=1)
    both = sum(
        split == reseeded.split_of(item) == "test" for item, split in zip(items, drawn, strict=True)
    )
    assert abs(both / len(items) - 0.04) < 0.01


def test_validation_takes_its_share_of_the_training_images_and_none_of_the_others():
    items = [Item(f"images/{i}.png", b"") for i in range(20_000)]
    whole = Plan({}, test_share=0.2, split_seed=0)
    held_out = dataclasses.replace(whole, validation_share=0.25)
    before, after = ([plan.split_of(item) for item in items] for plan in (whole, held_out))
    assert abs(after.count("validation") / before.count("train") - 0.25) < 0.015
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert set(changed) == {("train", "validation")}
    for split in ("test", "unlabelled"):
        own = [held_out.split_of(dataclasses.replace(item, split=split)) for item in items[:500]]
        assert set(own) == {split}


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
    manifest = prepare(source, tmp_path / "set", name="mixed", max_reject_share=0.05)
    assert manifest.counts.model_dump() == {
        "read": 63,
        "written": 60,
        "rejected": 3,
        "reasons": {"damaged": 1, "empty file": 1, "neither JPEG nor PNG": 1},
    }
    lines = (tmp_path / "set" / "rejects.jsonl").read_text().splitlines()
    rejects = {line["key"]: line["reason"] for line in map(json.loads, lines)}
    assert rejects == {
        "cat/empty.jpg": "empty file",
        "dog/text.png": "neither JPEG nor PNG",
        "frog/cut.jpg": "damaged",
    }
    written = keys(tmp_path / "set", "train") + keys(tmp_path / "set", "test")
    assert len(written) == 60
    assert not set(written) & set(rejects)


def test_past_the_share_of_rejects_nothing_is_published(tmp_path, good_and_bad):
    source = build_source("folder", path=good_and_bad)
    with pytest.raises(DataError, match=r"3 of 63 images were rejected .*0\.04.*cat/empty\.jpg"):
        prepare(source, tmp_path / "out" / "set", name="mixed", max_reject_share=0.04)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_lower_share_also_refuses_what_is_already_there(tmp_path, good_and_bad):
    source = build_source("folder", path=good_and_bad)
    prepare(source, tmp_path / "set", name="mixed", max_reject_share=0.05)
    with pytest.raises(DataError, match="3 of 63 images were rejected"):
        prepare(source, tmp_path / "set", name="mixed", max_reject_share=0.01)


def test_a_source_of_nothing_usable_is_refused(tmp_path, write_files):
    source = build_source("folder", path=write_files(tmp_path / "bad", {"a/1.jpg": b"text"}))
    with pytest.raises(DataError, match="1 of 1 images were rejected"):
        prepare(source, tmp_path / "set", name="bad", max_reject_share=1.0)


class FailingSource:
    """Three chunks, of which the last cannot be read."""

    def __init__(self, error):
        self._error = error
        self._inner = build_source("dsprites", images=600)

    def info(self):
        return self._inner.info()

    def chunks(self):
        return self._inner.chunks()

    def read(self, chunk):
        if chunk.stop == 600:
            raise self._error
        return self._inner.read(chunk)

    def pick(self, positions):
        return self._inner.pick(positions)


@pytest.mark.parametrize("error", [OSError("disk gone"), MemoryError("full")])
def test_a_failure_in_the_middle_leaves_nothing(tmp_path, error):
    with pytest.raises(Exception, match=str(error)):
        prepare(FailingSource(error), tmp_path / "set", name="failing")
    assert list(tmp_path.iterdir()) == []


KILLED_PROGRAM = """
import os, sys
from components.data.prepare import prepare
from components.data.sources import DspritesSource

class KillingSource(DspritesSource):
    def pick(self, positions):
        for number, item in enumerate(super().pick(positions)):
            if positions[0] > 0 and number > 50:
                os.kill(os.getpid(), 9)
            yield item

prepare(KillingSource(images=500), sys.argv[1], name="small", images_per_shard=150)
"""


@pytest.mark.long
def test_a_kill_while_shards_are_written_leaves_no_dataset(tmp_path, prepared):
    command = [sys.executable, "-c", KILLED_PROGRAM, str(tmp_path / "set")]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".tmp-set-")
    source = build_source("dsprites", images=500)
    prepare(source, tmp_path / "set", name="small", images_per_shard=150)
    assert digests(tmp_path / "set") == digests(prepared)
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


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
    prepare(source, tmp_path / "set", name="quiet", test_share=0)
    assert capfd.readouterr() == ("", "")
    assert logging.root.handlers == handlers
    assert logging.root.manager.disable == disabled


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"test_share": 1.0}, "test_share must be at least 0 and below 1, received 1.0"),
        ({"max_reject_share": 1.5}, "max_reject_share must be from 0 to 1, received 1.5"),
        ({"images_per_shard": 0}, "images_per_shard must be at least 1, received 0"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        prepare(build_source("dsprites", images=5), tmp_path / "set", name="x", **settings)


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


def test_a_runner_can_be_named(tmp_path, prepared):
    source = build_source("dsprites", images=500)
    options = ["--runner=FnApiRunner"]
    prepare(source, tmp_path / "x", name="small", images_per_shard=150, beam_options=options)
    assert digests(tmp_path / "x") == digests(prepared)


def test_no_test_share_means_no_test_split(tmp_path):
    source = build_source("dsprites", images=40)
    manifest = prepare(source, tmp_path / "set", name="x", test_share=0)
    assert list(manifest.splits) == ["train"]
