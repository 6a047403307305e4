"""Some rows of a split as a split: by rules, or a number of them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.data.handmade import entry, write_dataset
from tests.components.data.reading.test_encoded_images import decode
from tests.components.data.splits import indices, joined, rows
from twofold.components.data.reading.joined_splits import is_encoded, join
from twofold.components.data.reading.reader import load_split
from twofold.components.data.reading.selected_rows import (
    SelectedImages,
    first_rows,
    rows_by_rules,
    select,
)
from twofold.components.errors import DataError

COUNT = 20


def with_latents():
    """Labels 0 to 3 in turn; posX 0 to 0.95 in steps of 0.05, and posY its complement to 1."""
    position = np.arange(COUNT) / COUNT
    return dataclasses.replace(
        rows(COUNT),
        labels=np.arange(COUNT, dtype=np.int32) % 4,
        latents=np.stack([position, 1 - position], axis=1).astype(np.float32),
        latent_names=("posX", "posY"),
    )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([{"label": (1, 1)}], [1, 5, 9, 13, 17]),
        ([{"label": (2, 3)}], [2, 3, 6, 7, 10, 11, 14, 15, 18, 19]),
        # Both ends are met, also those that float32 cannot hold.
        ([{"posX": (0.1, 0.3)}], [2, 3, 4, 5, 6]),
        ([{"posX": (0.1, 0.1)}], [2]),
        # A rule holds in each of its names ...
        ([{"label": (0, 0), "posX": (0.2, 0.6)}], [4, 8, 12]),
        ([{"posX": (0.5, 1), "posY": (0.4, 1)}], [10, 11, 12]),
        # ... and one rule is enough.
        ([{"posX": (0, 0.05)}, {"posX": (0.9, 1)}], [0, 1, 18, 19]),
        ([{"label": (9, 9)}, {"label": (3, 3), "posX": (0, 0.2)}, {"posX": (0.15, 0.2)}], [3, 4]),
        # A rule without names holds for all.
        ([{}], list(range(COUNT))),
    ],
)
def test_rules_choose_rows_by_label_and_latents(rules, expected):
    found = rows_by_rules(with_latents(), rules)

    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_an_unlabelled_image_meets_no_rule_of_labels():
    split = dataclasses.replace(with_latents(), labels=np.full(COUNT, -1, np.int32))
    split.labels[4] = 0

    assert rows_by_rules(split, [{"label": (0, 9)}]).tolist() == [4]


def test_an_unknown_latent_is_refused_with_the_known_ones():
    with pytest.raises(
        DataError, match="split 'train' has no latent 'posZ': expected one of label, posX, posY"
    ):
        rows_by_rules(with_latents(), [{"label": (0, 0)}, {"posZ": (0, 1)}])


def test_rules_that_nothing_meets_choose_nothing():
    assert rows_by_rules(with_latents(), [{"posX": (2.0, 3.0)}]).tolist() == []


@given(fewer=st.integers(0, COUNT), more=st.integers(0, COUNT), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_fewer_rows_lie_within_more_under_one_seed(fewer, more, seed):
    fewer, more = sorted((fewer, more))
    some, others = (first_rows(rows(COUNT), count, seed) for count in (fewer, more))

    assert len(some) == fewer
    assert set(some.tolist()) <= set(others.tolist())
    assert others.tolist() == sorted(set(others.tolist()))
    assert others.dtype == np.int64


def test_rows_are_chosen_by_their_keys_and_the_seed():
    split, order = rows(COUNT), np.random.default_rng(0).permutation(COUNT)
    moved = dataclasses.replace(split, keys=split.keys[order])

    chosen = {seed: set(split.keys[first_rows(split, 5, seed)].tolist()) for seed in range(10)}

    assert set(moved.keys[first_rows(moved, 5, 3)].tolist()) == chosen[3]
    assert len({frozenset(keys) for keys in chosen.values()}) > 5
    assert len(set.union(*chosen.values())) > 15, "every image has its chance"


def test_more_images_than_there_are_are_refused():
    with pytest.raises(DataError, match="split 'train' has 20 images, fewer than 21"):
        first_rows(rows(COUNT), 21, 0)


def test_the_rows_of_a_split_are_a_split():
    split = dataclasses.replace(
        with_latents(), class_names=("a", "b", "c", "d"), weights=np.arange(COUNT, dtype=np.float32)
    )
    whole = split.key_hashes
    chosen = np.array([17, 2, 5])

    some = select(split, chosen)

    for name in ("labels", "keys", "latents", "weights", "key_hashes"):
        np.testing.assert_array_equal(getattr(some, name), getattr(split, name)[chosen], name)
    np.testing.assert_array_equal(some.images[:], split.images[chosen])
    kept = ("class_names", "latent_names", "name")
    assert [getattr(some, name) for name in kept] == [getattr(split, name) for name in kept]
    assert select(rows(3), np.array([1])).weights is None
    np.testing.assert_array_equal(split.key_hashes, whole)


def test_chosen_rows_are_drawn_from_and_chosen_from_again():
    some = select(rows(COUNT), np.array([3, 5, 8, 13]))
    arguments = {"batch_size": 2, "seed": 4, "first_step": 0, "steps": 2}
    assert sorted(joined(indices(some, **arguments))) == [0, 1, 2, 3]
    again = select(some, np.array([2, 0]))
    assert again.images[:][:, 0, 0, 0].tolist() == [8, 3]
    assert again.keys.tolist() == ["key/8", "key/3"]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Splits of the same 24 images, by where the images are, and their pixels."""
    directory = tmp_path_factory.mktemp("selected") / "set"
    write_dataset(directory, [entry(f"{n}", ("train", "unlabelled")[n % 2]) for n in range(24)])

    def load(cache):
        return [
            load_split(directory, name, decode=decode, size=(6, 5), channels=3, cache=cache)
            for name in ("train", "unlabelled")
        ]

    loaded = {cache: load(cache) for cache in ("memory", "disk", "off")}
    assert isinstance(loaded["disk"][0].images, np.memmap)
    pixels = np.concatenate([split.images for split in loaded["memory"]])
    whole = dataclasses.replace(join(loaded["memory"]), images=pixels)
    return {
        "in memory": (whole, pixels),
        "memory-mapped": (loaded["disk"][0], pixels[:12]),
        "joined": (join(loaded["memory"]), pixels),
        "joined and memory-mapped": (join(loaded["disk"]), pixels),
        "encoded": (loaded["off"][0], pixels[:12]),
        "joined and encoded": (join(loaded["off"]), pixels),
        "selected": (select(whole, np.arange(24)[::-1]), pixels[::-1]),
    }


KINDS = (
    "in memory",
    "memory-mapped",
    "joined",
    "joined and memory-mapped",
    "encoded",
    "joined and encoded",
    "selected",
)


@pytest.mark.parametrize("kind", KINDS)
def test_wherever_images_are_the_chosen_ones_are_read(kinds, kind):
    split, pixels = kinds[kind]
    chosen = np.array([11, 3, 3, 0, 7])

    some = select(split, chosen)

    expected = pixels[chosen]
    assert some.images.shape == expected.shape
    assert some.images.dtype == np.uint8
    assert len(some.images) == 5
    assert is_encoded(some) == ("encoded" in kind)
    for index in (slice(None), slice(1, 4), 2, -1, np.array([4, 0]), np.array([[0, 1], [2, 3]])):
        np.testing.assert_array_equal(some.images[index], expected[index])
    out = np.zeros((2, 6, 5, 3), np.uint8)
    assert some.images.take(np.array([4, 1]), axis=0, out=out, mode="clip") is out
    np.testing.assert_array_equal(out, expected[[4, 1]])
    np.testing.assert_array_equal(np.stack(list(some.images)), expected)
    with pytest.raises(IndexError):
        some.images[5]


def test_encoded_images_are_read_in_order(kinds):
    split, pixels = kinds["joined and encoded"]
    chosen = np.array([20, 3, 15])

    some: Any = select(split, chosen).images
    read = np.concatenate(list(some.in_order()))

    np.testing.assert_array_equal(read, pixels[chosen])


@pytest.mark.parametrize("kind", ["in memory", "encoded"])
def test_chosen_splits_are_joined(kinds, kind):
    split, pixels = kinds[kind]
    parts = [select(split, np.array([4, 2])), select(split, np.array([9]))]
    np.testing.assert_array_equal(join(parts).images[:], pixels[[4, 2, 9]])


def test_images_are_reached_where_they_are():
    images = np.zeros((4, 2, 3, 1), np.uint8)
    some = SelectedImages(images, np.array([2]))
    images[2] = 77
    assert (some[0] == 77).all()
