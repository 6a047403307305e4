from itertools import combinations
from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.alignment_uniformity import alignment, uniformity


def drawn(images=12, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(images, width)).astype(np.float32)


def unit(rows):
    rows = rows.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@given(seed=st.integers(0, 1000), chunk=st.integers(1, 20))
def test_equal_the_formulas_pair_by_pair(seed, chunk):
    first, second = drawn(seed=seed), drawn(seed=seed + 1)
    pairs = list(zip(unit(first), unit(second), strict=True))
    expected = np.mean([np.sum((x - y) ** 2) for x, y in pairs])
    assert alignment(first, second) == pytest.approx(expected)
    kernel = [exp(-2 * np.sum((x - y) ** 2)) for x, y in combinations(unit(first), 2)]
    assert uniformity(first, chunk=chunk) == pytest.approx(log(np.mean(kernel)))


def test_hand_worked():
    # Right angles are sqrt(2) apart, opposites 2.
    first = np.array([[1, 0], [0, 3]], np.float32)
    assert alignment(first, np.array([[0, 2], [0, -1]], np.float32)) == pytest.approx((2 + 4) / 2)
    assert uniformity(first) == pytest.approx(-4)


@given(seed=st.integers(0, 1000), scale=st.floats(1e-3, 1e3))
def test_neither_order_nor_length_matters_and_bounds_hold(seed, scale):
    first, second = drawn(seed=seed), drawn(seed=seed + 1)
    order = np.random.default_rng(seed).permutation(len(first))
    assert alignment(first[order] * scale, second[order]) == pytest.approx(
        alignment(first, second), rel=1e-4
    )
    assert uniformity(first[order] * scale) == pytest.approx(uniformity(first), rel=1e-4)
    assert 0 <= alignment(first, second) <= 4
    assert -8 <= uniformity(first) <= 0


def test_a_collapse_is_aligned_and_not_uniform():
    rows = np.ones((5, 3), np.float32)
    assert alignment(rows, 2 * rows) == pytest.approx(0)
    assert uniformity(rows) == 0


def test_isotropic_embeddings_of_many_features_have_about_minus_two_t():
    assert uniformity(drawn(600, 512)) == pytest.approx(-4, abs=0.05)


def test_what_has_no_pairs_is_refused():
    with pytest.raises(EvaluationError, match="at least two embeddings"):
        uniformity(drawn(1))
    with pytest.raises(EvaluationError, match="one shape"):
        alignment(drawn(3), drawn(4))
