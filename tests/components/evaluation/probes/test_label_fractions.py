import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.label_fractions import (
    mean_interval,
    t_interval,
)


def test_hand_worked():
    # Mean 0.5, s = 0.1, and the quantile of two degrees of freedom is 4.3027.
    mean, low, high = t_interval([0.4, 0.5, 0.6])
    margin = 4.302653 * 0.1 / 3**0.5
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - margin, 0.5 + margin), abs=1e-6)


@given(st.lists(st.floats(0.4, 0.6).map(lambda x: round(x, 3)), min_size=2, max_size=9))
def test_equals_scipy_s_and_knows_no_order(values):
    found = t_interval(values)
    assert found == pytest.approx(t_interval(values[::-1]))
    assert 0 <= found.low <= found.mean + 1e-12
    assert found.mean - 1e-12 <= found.high <= 1
    if len(set(values)) > 1:
        expected = ttest_1samp(values, 0).confidence_interval(0.95)
        cut = (max(0, expected.low), min(1, expected.high))
        assert (found.low, found.high) == pytest.approx(cut, abs=1e-9)


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 1.5], [0.5, float("nan")]])
def test_what_has_no_interval_is_refused(values):
    with pytest.raises(EvaluationError, match="at least two accuracies"):
        t_interval(values)


def test_an_interval_of_any_numbers_has_no_bounds():
    # t of 97.5 % with 2 degrees of freedom is 4.3027; the deviation is 1, over the root of 3.
    mean, low, high = mean_interval([-1.0, 0.0, 1.0])
    assert mean == 0
    assert high == -low == pytest.approx(4.3027 / 3**0.5, abs=1e-4)
    with pytest.raises(EvaluationError, match="at least two numbers"):
        mean_interval([0.3])
