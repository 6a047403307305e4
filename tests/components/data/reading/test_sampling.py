"""Draws with replacement: how often, and of what they depend."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from tests.components.data.splits import indices, joined, mixed_indices, partly_labelled, rows
from twofold.components.data.reading.sampling import Draws, draws_of, rows_to_draw
from twofold.components.errors import DataError

LABELS = [0] * 60 + [1] * 30 + [2] * 6 + [-1] * 24
WEIGHTS = np.array([1.0, 2.0, 4.0, 0.5], np.float32)


def unequal():
    """120 rows of three classes of which one has ten times the images of another."""
    return dataclasses.replace(rows(len(LABELS)), labels=np.array(LABELS, np.int32))


def weighted(count=120):
    return dataclasses.replace(rows(count), weights=np.resize(WEIGHTS, count))


def drawn(split, sampling, steps=300, **arguments):
    arguments = {"batch_size": 32, "seed": 5, "first_step": 0, "steps": steps, **arguments}
    return indices(split, sampling=sampling, **arguments)


def assert_as_often(counts, shares):
    """The counts are a likely outcome of draws in proportion to the shares."""
    shares = np.array(shares, np.float64)
    expected = shares / shares.sum() * np.sum(counts)
    assert chisquare(counts, expected).pvalue > 0.001


def test_balanced_draws_give_each_class_as_often_and_each_of_its_rows():
    split = unequal()
    found = np.array(joined(drawn(split, "balanced")))
    labels = split.labels[found]
    assert labels.min() == 0, "images without a class are not drawn"
    assert_as_often(np.bincount(labels), [1, 1, 1])
    for label in range(3):
        members = np.flatnonzero(split.labels == label)
        counts = np.bincount(found[labels == label], minlength=len(split.labels))[members]
        assert_as_often(counts, np.ones(len(members)))


def test_weighted_draws_give_each_row_in_proportion_to_its_weight():
    split = weighted()
    found = joined(drawn(split, "weighted"))
    assert_as_often(np.bincount(found, minlength=120), split.weights)


def test_a_draw_is_the_row_whose_part_of_the_whole_a_share_falls_into():
    # Weights 1, 3 and 4: up to 1/8 the first row, up to 4/8 the second, then the third.
    draws = Draws(np.cumsum([1.0, 3.0, 4.0]), seed=9)
    key = np.array([9, 6], np.uint64)
    shares = (np.random.Philox(key=key).random_raw(50) >> np.uint64(11)) / 2**53
    expected = [0 if share < 1 / 8 else 1 if share < 1 / 2 else 2 for share in shares]
    assert draws.positions(6, 0, 50).tolist() == expected
    assert draws.positions(6, 20, 30).tolist() == expected[20:]


@given(
    weights=st.lists(st.floats(2**-20, 2**20, width=32), min_size=1, max_size=50),
    seed=st.integers(-(2**63), 2**64),
    step=st.integers(0, 2**40),
    first=st.integers(0, 40),
)
def test_draws_are_rows_and_do_not_depend_on_what_else_is_drawn(weights, seed, step, first):
    draws = Draws(np.cumsum(np.array(weights, np.float64)), seed)
    whole = draws.positions(step, 0, 60)
    assert whole.min() >= 0
    assert whole.max() < len(weights)
    np.testing.assert_array_equal(draws.positions(step, first, 60 - first), whole[first:])


@pytest.mark.parametrize(("split", "sampling"), [(unequal(), "balanced"), (weighted(), "weighted")])
def test_draws_are_of_seed_step_and_place_alone(split, sampling):
    whole = drawn(split, sampling, steps=12)
    assert drawn(split, sampling, steps=12) == whole
    assert drawn(split, sampling, steps=5, first_step=7) == whole[7:]
    assert drawn(split, sampling, steps=12, seed=6) != whole
    assert len({tuple(step) for step in whole}) == 12
    shares = drawn(split, sampling, steps=12, replicas=4)
    assert [joined(shares[n : n + 4]) for n in range(0, 48, 4)] == whole


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_labelled_and_unlabelled_streams_are_sampled_each_in_its_way(seed):
    split = unequal()
    sizes = {"unlabelled_batch_size": 12, "labelled_batch_size": 8, "seed": seed, "steps": 2}
    plain = mixed_indices(split, split, **sizes)
    balanced = mixed_indices(split, split, **sizes, sampling="balanced")
    assert balanced[0] == plain[0], "what has no class is permuted as ever"
    assert balanced[1] != plain[1]
    assert min(split.labels[joined(balanced[1])]) >= 0


def test_the_smallest_class_is_not_left_out_of_mixed_batches():
    split = unequal()
    sizes = {"unlabelled_batch_size": 8, "labelled_batch_size": 48}
    _, labelled = mixed_indices(split, split, **sizes, steps=100, sampling="balanced")
    assert_as_often(np.bincount(split.labels[joined(labelled)]), [1, 1, 1])


def test_what_can_be_drawn():
    split = partly_labelled(10, labelled=4)
    assert rows_to_draw(split, sampling="uniform").tolist() == list(range(10))
    assert rows_to_draw(split, sampling="uniform", labelled_only=True).tolist() == [0, 1, 2, 3]
    assert rows_to_draw(split, sampling="balanced").tolist() == [0, 1, 2, 3]
    assert draws_of(split, np.arange(10), sampling="uniform", seed=0) is None


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ("balanced", "sampling=balanced draws each class as often, and split 'train' has no"),
        ("weighted", "sampling=weighted draws by the images' weights, and split 'train' has none"),
        ("fair", "sampling must be one of uniform, balanced, weighted, received 'fair'"),
    ],
)
def test_a_sampling_that_the_split_does_not_allow_is_refused(sampling, message):
    with pytest.raises(DataError, match=message):
        drawn(partly_labelled(40, labelled=0), sampling)
