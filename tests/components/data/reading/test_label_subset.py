import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.data.reading.label_subset import keep_labels, labelled_rows, unlabelled_rows
from twofold.components.data.reading.split import Split
from twofold.components.errors import DataError


def split_of(labels):
    """A split of one-pixel images with these labels, the key of row i being `i`."""
    count = len(labels)
    return Split(
        images=np.zeros((count, 1, 1, 1), np.uint8),
        labels=np.array(labels, np.int32),
        keys=np.array([str(i) for i in range(count)]),
        latents=np.zeros((count, 0), np.float32),
        class_names=("a", "b", "c"),
        latent_names=(),
        name="train",
    )


MIXED = split_of(([0] * 7 + [1] * 3 + [2] + [-1] * 4) * 4)


def test_rows_are_those_with_and_without_a_label():
    split = split_of([2, -1, 0, -1, 1])
    assert labelled_rows(split).tolist() == [0, 2, 4]
    assert unlabelled_rows(split).tolist() == [1, 3]
    assert labelled_rows(split).dtype == unlabelled_rows(split).dtype == np.int64


@given(share=st.floats(0.001, 1, exclude_max=True), seed=st.integers(0, 2**63))
def test_every_class_keeps_its_share_and_no_label_changes(share, seed):
    kept = keep_labels(MIXED, share, seed)
    rows = labelled_rows(kept)
    np.testing.assert_array_equal(kept.labels[rows], MIXED.labels[rows])
    counts = np.bincount(kept.labels[rows], minlength=3)
    all_counts = np.bincount(MIXED.labels[labelled_rows(MIXED)])
    for found, everything in zip(counts, all_counts, strict=True):
        assert math.ceil(share * everything) - found in (0, 1)
        assert found >= 1


def test_a_share_is_taken_as_it_is_written():
    # 0.07 * 100 is 7.000000000000001 in floats.
    assert len(labelled_rows(keep_labels(split_of([0] * 100), 0.07, seed=0))) == 7
    assert len(labelled_rows(keep_labels(split_of([0] * 101), 0.07, seed=0))) == 8


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=4), st.integers(0, 99))
def test_a_smaller_share_lies_within_a_larger_one(shares, seed):
    kept = [set(labelled_rows(keep_labels(MIXED, share, seed))) for share in sorted(shares)]
    for smaller, larger in itertools.pairwise(kept):
        assert smaller <= larger


def test_the_choice_is_of_seed_and_key_alone():
    order = np.random.default_rng(0).permutation(len(MIXED.labels))
    shuffled = Split(
        images=MIXED.images[order],
        labels=MIXED.labels[order],
        keys=MIXED.keys[order],
        latents=MIXED.latents[order],
        class_names=MIXED.class_names,
        latent_names=(),
    )
    keys = [
        frozenset(split.keys[labelled_rows(keep_labels(split, 0.3, seed))])
        for split in (MIXED, shuffled)
        for seed in (0, 1)
    ]
    assert keys[:2] == keys[2:]
    assert keys[0] != keys[1]


def test_images_are_not_copied_and_the_given_split_is_left_as_it_is():
    before = MIXED.labels.copy()
    kept = keep_labels(MIXED, 0.5, seed=0)
    assert kept.images is MIXED.images
    assert kept.keys is MIXED.keys
    assert kept.labels.dtype == np.int32
    np.testing.assert_array_equal(MIXED.labels, before)
    assert keep_labels(MIXED, 1, seed=0) is MIXED


@pytest.mark.parametrize("share", [0, -0.1, 1.01, math.nan])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(DataError, match=f"above 0 and at most 1, received {share}"):
        keep_labels(MIXED, share, seed=0)
