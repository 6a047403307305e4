"""Where decoded images are kept, and what is done where they cannot be."""

import shutil

import numpy as np
import pytest

from tests.components.data.handmade import entry, write_dataset
from tests.components.data.reading.test_encoded_images import decode
from twofold.components.data.reading import decoded_cache as cache
from twofold.components.data.reading.encoded_images import EncodedImages
from twofold.components.data.reading.reader import load_split
from twofold.components.errors import DataError

# 40 images of 6 x 5 x 3.
SIZE = 40 * 90


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cache") / "set"
    write_dataset(directory, [entry(f"{n}") for n in range(40)])
    split = load_split(directory, "train", decode=decode, size=(6, 5), channels=3, cache="off")
    return split.images


@pytest.fixture
def room(monkeypatch):
    """Sets how many bytes of memory and free disk there are; nothing is kept in memory yet."""
    monkeypatch.setattr(cache, "_kept", {})

    def set_room(memory, disk):
        monkeypatch.setattr(cache, "memory_bytes", lambda: memory)
        monkeypatch.setattr(cache, "free_bytes", lambda target: disk)

    return set_room


def kind_of(array):
    if array is None:
        return "off"
    return "disk" if isinstance(array, np.memmap) else "memory"


@pytest.mark.parametrize(
    ("memory", "disk", "expected"),
    [
        (10 * SIZE, 0, "memory"),
        (10 * SIZE - 1, 2 * SIZE, "disk"),
        (10 * SIZE - 1, 2 * SIZE - 1, "off"),
        (0, 0, "off"),
    ],
)
def test_the_first_place_with_room_is_taken(images, tmp_path, room, memory, disk, expected):
    room(memory, disk)
    found = cache.decoded(images, cache="auto", target=tmp_path / "target")
    assert kind_of(found) == expected
    if found is not None:
        np.testing.assert_array_equal(found, images[:])


def test_what_is_kept_in_memory_already_counts(images, tmp_path, room):
    room(25 * SIZE, 2 * SIZE)
    arguments = {"cache": "auto", "target": tmp_path / "target"}
    first = [cache.decoded(images, keep_as=f"part {n}", **arguments) for n in range(3)]
    assert [kind_of(found) for found in first] == ["memory", "memory", "disk"]
    again = cache.decoded(images, keep_as="part 1", cache="memory", target=tmp_path / "target")
    assert again is first[1]


def test_more_than_the_share_of_memory_is_kept_only_as_long_as_it_is_used(images, tmp_path, room):
    room(0, 0)
    arguments = {"cache": "memory", "target": tmp_path, "keep_as": "large"}
    first = cache.decoded(images, **arguments)
    assert (
        cache.decoded(images, **{**arguments, "cache": "auto", "target": tmp_path / "x"}) is first
    )
    assert cache._kept == {}
    del first
    assert "large" not in cache._in_use


def test_what_is_on_disk_is_taken_whatever_room_there_is(images, tmp_path, room):
    room(10 * SIZE, 0)
    target = tmp_path / "target"
    cache.decoded(images, cache="disk", target=target)
    assert kind_of(cache.decoded(images, cache="auto", target=target)) == "disk"
    assert kind_of(cache.decoded(images, cache="off", target=target)) == "off"


@pytest.mark.parametrize("damage", ["cut", "gone", "other shape", "no array"])
def test_a_damaged_cache_is_made_again(images, tmp_path, damage):
    target = tmp_path / "target"
    cache.decoded(images, cache="disk", target=target)
    path = target / "images.npy"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "gone":
        path.unlink()
    elif damage == "other shape":
        np.save(path, np.zeros((40, 6, 6, 3), np.uint8))
    else:
        path.write_bytes(b"nothing")
    found = cache.decoded(images, cache="disk", target=target)
    np.testing.assert_array_equal(found, images[:])


def test_a_cache_that_cannot_be_finished_leaves_nothing(images, tmp_path, monkeypatch):
    def fails(self):
        yield np.zeros((4, 6, 5, 3), np.uint8)
        raise DataError("damaged")

    monkeypatch.setattr(EncodedImages, "in_order", fails)
    with pytest.raises(DataError, match="damaged"):
        cache.decoded(images, cache="disk", target=tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_another_process_finishes_first_is_taken(images, tmp_path, monkeypatch):
    target = tmp_path / "target"
    cache.decoded(images, cache="disk", target=tmp_path / "other")
    in_order = EncodedImages.in_order

    def overtaken(self):
        yield from in_order(self)
        shutil.copytree(tmp_path / "other", target)

    monkeypatch.setattr(EncodedImages, "in_order", overtaken)
    found = cache.decoded(images, cache="disk", target=target)
    np.testing.assert_array_equal(found, images[:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "target"]


def test_the_memory_of_a_container_is_its_limit(tmp_path, monkeypatch):
    file = tmp_path / "memory.max"
    monkeypatch.setattr(cache, "_CGROUP_LIMIT", file)
    whole = cache.memory_bytes()
    assert whole > 0
    for text, expected in (("max\n", whole), ("1048576\n", 1 << 20), (f"{whole * 2}\n", whole)):
        file.write_text(text)
        assert cache.memory_bytes() == expected


def test_free_disk_is_that_of_the_folder_above_and_none_where_nothing_may_be_written(
    tmp_path, monkeypatch
):
    target = tmp_path / "not" / "there" / "yet"
    free = shutil.disk_usage(tmp_path).free
    assert abs(cache.free_bytes(target) - free) < max(free // 10, 1 << 30)
    monkeypatch.setattr("os.access", lambda *arguments: False)
    assert cache.free_bytes(target) == 0
