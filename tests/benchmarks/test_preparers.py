"""That what is compared with each other does the same work."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.benchmarks.inputs import (
    GeneratedSource,
    generated_jpeg,
    list_images,
    open_images,
    split_and_class,
    write_first,
    write_generated,
)
from tests.benchmarks.plain_loop import prepare_plainly
from tests.benchmarks.watch import watch
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import Source
from twofold.components.data.store.manifest import load_manifest
from twofold.components.data.store.tf_example import FOOTER, HEADER, masked_crc


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_generated(tmp_path_factory.mktemp("images") / "images.zip", 60, 16)


@pytest.fixture(scope="module")
def ours(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours") / "dataset"
    prepare(build_source("folder", path=str(images)), folder, name="ours")
    return folder


def records_in(folder):
    found = []
    for path in sorted(folder.glob("*.tfrecord")):
        content, place = path.read_bytes(), 0
        while place < len(content):
            length, _ = HEADER.unpack_from(content, place)
            data = content[place + HEADER.size : place + HEADER.size + length]
            (checksum,) = FOOTER.unpack_from(content, place + HEADER.size + length)
            assert checksum == masked_crc(data)
            found.append(data)
            place += HEADER.size + length + FOOTER.size
    return found


@pytest.mark.parametrize("together", [1, 7, 256])
def test_the_plain_loop_writes_the_records_and_statistics_that_prepare_does(
    images, ours, tmp_path, together
):
    written = prepare_plainly(images, tmp_path / "plain", together)

    manifest = load_manifest(ours)
    said = json.loads((tmp_path / "plain" / "manifest.json").read_text())
    assert written == manifest.counts.written == 60
    assert records_in(tmp_path / "plain") == records_in(ours)
    mean, deviation = said["statistics"]
    np.testing.assert_array_equal(mean, manifest.statistics.mean)
    np.testing.assert_array_equal(deviation, manifest.statistics.std)
    assert said["sizes"] == manifest.image_sizes
    assert said["duplicates"] == manifest.duplicates.near


def test_a_generated_source_is_read_as_any_other(tmp_path):
    source: Source = GeneratedSource(50)

    items = [item for task in source.tasks(20) for item in source.read(task)]
    manifest = prepare(source, tmp_path / "dataset", name="generated")

    assert len({item.key for item in items}) == source.info().items == 50
    assert len({item.image for item in items}) == 50
    assert manifest.counts.written == 50
    assert manifest.image_sizes == {"16x16": 17, "24x24": 17, "32x32": 16}


def test_a_generated_image_depends_on_its_key_alone():
    assert generated_jpeg("a", 16) == generated_jpeg("a", 16)
    assert generated_jpeg("a", 16) != generated_jpeg("b", 16)


def test_the_first_images_are_those_that_come_first_by_name(images, tmp_path):
    first = write_first(images, tmp_path / "first.zip", 5)

    names = list_images(first)
    assert names == list_images(images)[:5]
    assert open_images(first)(names[4]) == open_images(images)(names[4])


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("train/frog/1.jpg", ("train", "frog")),
        ("test/frog/1.jpg", ("test", "frog")),
        ("frog/1.jpg", ("train", "frog")),
        ("1.jpg", ("train", "")),
    ],
)
def test_folders_say_split_and_class(key, expected):
    assert split_and_class(key) == expected


def test_a_watched_process_tells_what_it_used(images, tmp_path):
    arguments = ["plain loop", str(images), str(tmp_path / "dataset")]

    watched = watch("tests.benchmarks.preparers", arguments, tmp_path)

    said = json.loads(watched.output.splitlines()[-1])
    assert said["written"] == 60
    assert watched.started < said["imported"] < said["done"] <= watched.started + watched.seconds
    assert watched.main.peak_bytes > 10e6
    assert watched.peak_disk_bytes > 0


def test_a_watched_process_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="no-such-file"):
        watch(
            "tests.benchmarks.preparers",
            ["plain loop", str(tmp_path / "no-such-file.zip"), str(tmp_path / "dataset")],
            tmp_path,
        )
