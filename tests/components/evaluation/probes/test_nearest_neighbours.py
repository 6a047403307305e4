import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes import nearest_neighbours as neighbours
from twofold.components.evaluation.probes.nearest_neighbours import nearest_neighbours


def drawn(rows, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def ranked_in_plain_words(queries, embeddings, k):
    """All pairs in double precision, sorted by falling similarity, then by row."""
    unit = [rows.astype(np.float64) for rows in (queries, embeddings)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in unit]
    products = np.round(unit[0] @ unit[1].T, 6)
    return np.argsort(-products, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize(("count", "k"), [(50, 3), (50, 50), (9000, 5), (9000, 300)])
def test_are_those_of_scikit_learn(count, k):
    queries, embeddings = drawn(20), drawn(count, seed=1)
    rows, similarities = nearest_neighbours(queries, embeddings, k)
    distances, expected = (
        NearestNeighbors(n_neighbors=k, algorithm="brute", metric="cosine")
        .fit(embeddings.astype(np.float64))
        .kneighbors(queries.astype(np.float64))
    )
    np.testing.assert_allclose(similarities, 1 - distances, atol=2e-6)
    # Where two differ by less than the rounding, either may come first.
    assert (rows == expected).mean() > 0.99


def test_hand_worked():
    embeddings = np.array([[0, 1], [3, 4], [-1, 0], [8, 6]], np.float32)
    rows, similarities = nearest_neighbours(np.array([[2, 0]], np.float32), embeddings, 3)
    np.testing.assert_array_equal(rows, [[3, 1, 0]])
    np.testing.assert_allclose(similarities, [[0.8, 0.6, 0]], atol=1e-6)


@given(
    seed=st.integers(0, 1000),
    k=st.integers(1, 60),
    chunk=st.integers(1, 30),
    block=st.integers(1, 70),
    ties=st.booleans(),
)
@settings(max_examples=50)
def test_neither_chunk_nor_block_matters_even_to_ties(seed, k, chunk, block, ties):
    queries, embeddings = drawn(12, width=3, seed=seed), drawn(60, width=3, seed=seed + 1)
    if ties:
        queries, embeddings = np.round(queries) + 1.5, np.round(embeddings) + 1.5
    whole = nearest_neighbours(queries, embeddings, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_MOST_ROWS", block)
        parts = nearest_neighbours(queries, embeddings, k, chunk=chunk)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    if ties:
        np.testing.assert_array_equal(whole[0], ranked_in_plain_words(queries, embeddings, k))


def test_many_equal_rows_are_given_in_their_order():
    rows, similarities = nearest_neighbours(drawn(2), np.ones((5000, 6), np.float32), 4)
    np.testing.assert_array_equal(rows, [[0, 1, 2, 3]] * 2)
    assert (similarities == similarities[:, :1]).all()


@given(seed=st.integers(0, 1000), scale=st.floats(1e-20, 1e20))
@settings(max_examples=20)
def test_similarities_fall_lie_within_bounds_and_know_no_length(seed, scale):
    queries, embeddings = drawn(5, seed=seed), drawn(40, seed=seed + 1)
    rows, similarities = nearest_neighbours(queries, embeddings, 10)
    assert (np.diff(similarities, axis=1) <= 0).all()
    assert np.abs(similarities).max() <= 1
    scaled, _ = nearest_neighbours(queries, embeddings.astype(np.float64) * scale, 10)
    np.testing.assert_array_equal(rows, scaled)


def test_embeddings_may_be_mapped_from_a_file(tmp_path):
    np.save(tmp_path / "a.npy", drawn(30))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    rows, _ = nearest_neighbours(mapped, mapped, 1)
    np.testing.assert_array_equal(rows[:, 0], np.arange(30))


def test_other_widths_and_counts_are_refused():
    with pytest.raises(EvaluationError, match="one width, but they have 6 and 5"):
        nearest_neighbours(drawn(2), drawn(2, width=5), 1)
    with pytest.raises(EvaluationError, match="at least 1, but they are 0 and 512"):
        nearest_neighbours(drawn(2), drawn(2), 0)
