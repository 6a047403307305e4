import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.similarity_matrix import (
    sample_rows,
    similarity_matrix,
    sort_order,
    split_pairs,
)


def embeddings(seed=0, images=12, width=4):
    return np.random.default_rng(seed).normal(size=(images, width)).astype(np.float32)


def test_orthogonal_embeddings_give_the_identity():
    matrix = similarity_matrix(np.diag([1.0, 20.0, 0.3]).astype(np.float32), np.arange(3))
    np.testing.assert_array_equal(matrix, np.eye(3))
    assert matrix.dtype == np.float32


def test_hand_worked_angles_in_the_order_asked_for():
    points = np.array([[1, 0], [0, 2], [3, 3]], np.float32)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        similarity_matrix(points, np.array([2, 0, 1])),
        [[1, half, half], [half, 1, 0], [half, 0, 1]],
        rtol=1e-6,
    )


@given(seed=st.integers(0, 1000))
def test_symmetric_with_ones_on_the_diagonal_and_within_bounds(seed):
    matrix = similarity_matrix(embeddings(seed), np.arange(12))
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    assert np.abs(matrix).max() <= 1


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_lengths_of_rows_do_not_matter(seed, scale):
    rows = embeddings(seed)
    scaled = rows * np.geomspace(1, scale, len(rows))[:, None]
    order = np.arange(len(rows))
    np.testing.assert_allclose(
        similarity_matrix(scaled, order), similarity_matrix(rows, order), atol=1e-6
    )


def test_a_row_of_zeros_is_like_nothing():
    matrix = similarity_matrix(np.array([[0, 0], [1, 0]], np.float32), np.arange(2))
    np.testing.assert_array_equal(matrix, [[0, 0], [0, 1]])


def test_order_sorts_by_the_latent_then_the_secondary_ones_and_is_stable():
    shape = np.array([1, 0, 1, 0, 1, 0])
    scale = np.array([2, 3, 1, 3, 2, 0])
    np.testing.assert_array_equal(sort_order(shape), [1, 3, 5, 0, 2, 4])
    np.testing.assert_array_equal(sort_order(shape, scale), [5, 1, 3, 2, 0, 4])


def test_latents_of_different_lengths_are_refused():
    with pytest.raises(EvaluationError, match=r"\[\[3\], \[2\]\]"):
        sort_order(np.zeros(3), np.zeros(2))


@given(total=st.integers(1, 500), wanted=st.integers(1, 600), seed=st.integers(0, 99))
def test_a_sample_is_rising_different_rows_that_the_seed_decides(total, wanted, seed):
    rows = sample_rows(total, wanted, seed)
    assert len(rows) == min(total, wanted)
    assert (np.diff(rows) > 0).all()
    assert rows.min() >= 0
    assert rows.max() < total
    np.testing.assert_array_equal(rows, sample_rows(total, wanted, seed))


def test_another_seed_samples_other_rows():
    assert not np.array_equal(sample_rows(1000, 20, seed=0), sample_rows(1000, 20, seed=1))


@pytest.mark.parametrize(("total", "wanted"), [(0, 1), (1, 0)])
def test_an_empty_sample_is_refused(total, wanted):
    with pytest.raises(EvaluationError, match="at least 1"):
        sample_rows(total, wanted, seed=0)


def test_pairs_of_equal_and_of_different_value_each_once():
    matrix = np.array([[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])
    within, between = split_pairs(matrix, np.array([5, 7, 5]))
    assert within.tolist() == [0.2]
    assert sorted(between.tolist()) == [0.1, 0.3]
    within, between = split_pairs(matrix)
    assert within.tolist() == []
    assert sorted(between.tolist()) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(("shape", "values"), [((1, 1), None), ((2, 3), None), ((3, 3), 2)])
def test_pairs_that_do_not_fit_are_refused(shape, values):
    with pytest.raises(EvaluationError, match="at least two images"):
        split_pairs(np.zeros(shape), None if values is None else np.zeros(values))
