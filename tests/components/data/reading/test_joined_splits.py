"""Several splits as one, without a copy of their images."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.data.handmade import entry, write_dataset
from tests.components.data.reading.test_encoded_images import decode
from tests.components.data.splits import indices, partly_labelled, rows
from tests.components.data.splits import joined as joined_rows
from twofold.components.data.reading.joined_splits import JoinedImages, is_encoded, join
from twofold.components.data.reading.label_subset import keep_labels
from twofold.components.data.reading.reader import load_split

SIZES = (4, 1, 7)


def parts():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (size, 2, 3, 1), dtype=np.uint8) for size in SIZES]


@given(
    index=st.one_of(
        st.integers(-12, 11),
        st.slices(12),
        st.lists(st.integers(-12, 11), max_size=15).map(lambda rows: np.array(rows, np.int64)),
        st.lists(st.booleans(), min_size=12, max_size=12).map(np.array),
    )
)
def test_joined_images_are_indexed_as_their_concatenation(index):
    joined = JoinedImages(parts())
    np.testing.assert_array_equal(joined[index], np.concatenate(parts())[index])


def test_joined_images_look_like_an_array():
    joined, expected = JoinedImages(parts()), np.concatenate(parts())
    assert joined.shape == expected.shape
    assert joined.dtype == expected.dtype
    assert len(joined) == 12
    out = np.zeros((3, 2, 3, 1), np.uint8)
    assert joined.take(np.array([11, 4, 0]), axis=0, out=out, mode="clip") is out
    np.testing.assert_array_equal(out, expected[[11, 4, 0]])


def test_images_are_reached_where_they_are():
    images = parts()
    joined = JoinedImages(images)
    images[1][0] = 77
    assert (joined[4] == 77).all()


def test_splits_are_joined_row_by_row():
    first, second = rows(5, "train"), partly_labelled(4, 0, "unlabelled")
    joined = join([first, second])
    assert joined.name == "train and unlabelled"
    assert joined.labels.tolist() == [0, 1, 2, 3, 4, -1, -1, -1, -1]
    assert joined.keys.tolist() == [*first.keys.tolist(), *second.keys.tolist()]
    assert joined.latents.shape == (9, 0)
    assert joined.weights is None
    np.testing.assert_array_equal(joined.images[:][:, 0, 0, 0], [0, 1, 2, 3, 4, 0, 1, 2, 3])
    arguments = {"batch_size": 3, "seed": 4, "first_step": 0, "steps": 3}
    assert sorted(joined_rows(indices(joined, **arguments))) == list(range(9))


def test_weights_are_joined_where_all_have_them():
    first = dataclasses.replace(rows(2), weights=np.array([1, 2], np.float32))
    second = dataclasses.replace(rows(1), weights=np.array([3], np.float32))
    weights = join([first, second]).weights
    assert weights is not None
    assert weights.tolist() == [1, 2, 3]
    assert join([first, rows(1)]).weights is None


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Each cache -> two splits of one dataset."""
    directory = tmp_path_factory.mktemp("joined") / "set"
    images = [entry(f"{n}", ("train", "unlabelled")[n % 2], label=-(n % 2)) for n in range(22)]
    write_dataset(directory, images)
    return {
        cache: [
            load_split(directory, name, decode=decode, size=(6, 5), channels=3, cache=cache)
            for name in ("train", "unlabelled")
        ]
        for cache in ("memory", "disk", "off")
    }


@pytest.mark.parametrize("cache", ["memory", "disk", "off"])
def test_wherever_images_are_they_are_joined_alike(loaded, cache):
    joined = join([keep_labels(loaded[cache][0], 0.5, 0), loaded[cache][1]])
    expected = np.concatenate([split.images for split in loaded["memory"]])
    assert is_encoded(joined) == (cache == "off")
    np.testing.assert_array_equal(joined.images[:], expected)
    np.testing.assert_array_equal(joined.images[[21, 3, 12]], expected[[21, 3, 12]])


def test_decoded_and_encoded_images_are_not_joined(loaded):
    with pytest.raises(ValueError, match="decoded and encoded images cannot be joined"):
        join([loaded["memory"][0], loaded["off"][1]])


def test_images_of_different_shapes_are_not_joined():
    wide = dataclasses.replace(rows(4), images=np.zeros((4, 2, 4, 1), np.uint8))
    with pytest.raises(ValueError, match=r"\(2, 3, 1\), \(2, 4, 1\)"):
        join([rows(3), wide])
