import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.confidence_intervals import accuracy_metrics, binomial_interval


@given(
    counts=st.integers(1, 10_000).flatmap(
        lambda total: st.tuples(st.integers(0, total), st.just(total))
    ),
    confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_equals_scipy_s_wilson_interval_and_holds_the_share(counts, confidence):
    correct, total = counts
    low, high = binomial_interval(correct, total, confidence)
    expected = binomtest(correct, total).proportion_ci(confidence, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= correct / total <= high <= 1


def test_a_known_interval():
    # 81 of 263: Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.
    assert binomial_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


@pytest.mark.parametrize(
    "arguments", [(1, 0), (-1, 5), (6, 5), (1, 5, 0.0), (1, 5, 1.0), (1, 5, 95)]
)
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(EvaluationError, match="0 <= correct <= total"):
        binomial_interval(*arguments)


def test_an_accuracy_is_named_with_its_bounds():
    low, high = binomial_interval(30, 40)
    assert accuracy_metrics("knn/test_accuracy", 30, 40) == {
        "knn/test_accuracy": 0.75,
        "knn/test_accuracy_low": low,
        "knn/test_accuracy_high": high,
    }
