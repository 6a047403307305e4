import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.collapse import dead_units, effective_rank, feature_std


def isotropic(images=4000, width=16, seed=0):
    return np.random.default_rng(seed).normal(size=(images, width)).astype(np.float32)


def line(images=200, width=16, seed=0):
    random = np.random.default_rng(seed)
    return np.outer(random.uniform(1, 2, images), random.normal(size=width)).astype(np.float32)


def test_feature_std_of_isotropic_embeddings_is_one_over_root_width():
    assert feature_std(isotropic()) == pytest.approx(0.25, rel=0.01)


def test_feature_std_of_one_direction_is_zero_whatever_the_lengths():
    assert feature_std(line()) == pytest.approx(0, abs=1e-6)


def test_feature_std_hand_worked():
    # Normalised: (1, 0) and (0, 1); each feature is 0 and 1, of standard deviation 1/2.
    assert feature_std(np.array([[3, 0], [0, 5]], np.float32)) == 0.5


def test_rank_of_isotropic_embeddings_is_nearly_their_width():
    assert 15.9 < effective_rank(isotropic()) <= 16 + 1e-4


def test_rank_of_one_direction_is_one():
    assert effective_rank(line()) == pytest.approx(1, abs=1e-4)


def test_rank_hand_worked_from_singular_values_three_and_one():
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    rank = effective_rank(np.diag([3.0, 1.0]).astype(np.float32))
    assert rank == pytest.approx(math.exp(entropy), rel=1e-5)


@given(directions=st.integers(1, 8), scale=st.floats(1e-3, 1e3))
def test_rank_counts_equal_directions_whatever_their_scale(directions, scale):
    embeddings = np.zeros((20, 8), np.float32)
    embeddings[np.arange(directions), np.arange(directions)] = scale
    assert effective_rank(embeddings) == pytest.approx(directions, rel=1e-4)


def test_embeddings_of_zeros_have_neither_spread_nor_rank():
    zeros = np.zeros((5, 3), np.float32)
    assert feature_std(zeros) == 0
    assert effective_rank(zeros) == 0


@pytest.mark.parametrize("measure", [feature_std, effective_rank, dead_units])
def test_values_that_are_not_finite_are_refused(measure):
    with pytest.raises(EvaluationError, match="1 of its 2 values"):
        measure(np.array([[1, np.nan]], np.float32))


def test_dead_units_hand_worked():
    rows = np.array([[1, 0, 5, -2], [2, 0, 5, -2], [3, 0, 5 + 1e-6, -1]], np.float32)
    assert dead_units(rows) == 2
    assert dead_units(np.zeros((3, 4), np.float32)) == 4


@given(seed=st.integers(0, 100), dead=st.integers(0, 8), scale=st.floats(1e-3, 1e3))
def test_dead_units_are_counted_whatever_order_and_scale(seed, dead, scale):
    random = np.random.default_rng(seed)
    rows = np.maximum(random.normal(size=(50, 8)), 0)
    rows[:, :dead] = 0
    rows = (rows[:, random.permutation(8)] * scale).astype(np.float32)
    assert dead_units(rows) == dead == dead_units(rows[random.permutation(50)])
