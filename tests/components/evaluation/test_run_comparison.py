"""Whether runs differ by more than chance."""

from math import sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.confidence_intervals import binomial_interval
from twofold.components.evaluation.run_comparison import (
    Difference,
    Group,
    MeasuredRun,
    compare,
    mean_interval,
    proportions_p,
    seeds_p,
)

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def measured(name, right, total, held_out=None, **others):
    low, high = binomial_interval(right, total)
    metrics = {"a": right / total, "a_low": low, "a_high": high, **others}
    return MeasuredRun(name, metrics, total if held_out is None else held_out)


def single(*runs):
    return [Group(run.name, (run,)) for run in runs]


def only_row(groups):
    (row,) = compare(groups)
    return row


def test_an_interval_over_seeds_by_hand():
    # Mean 2, deviation 1; Student's quantile for two degrees of freedom is 4.302653.
    low, high = mean_interval([1.0, 2.0, 3.0])

    assert (low, high) == pytest.approx((2 - 4.302653 / sqrt(3), 2 + 4.302653 / sqrt(3)), abs=1e-6)


def test_one_seed_has_no_interval():
    with pytest.raises(EvaluationError, match="needs two values, received 1"):
        mean_interval([0.9])


def test_fishers_tea():
    # 3 of 4 against 1 of 4. Of the 70 ways to choose 4 of 8, 16 give this table, 16 its mirror
    # image, and 2 are more extreme.
    assert proportions_p((3, 4), (1, 4)) == pytest.approx(34 / 70)


@given(first=counts, second=counts)
def test_the_test_of_shares_is_symmetric_and_sees_none_in_equals(first, second):
    p = proportions_p(first, second)

    assert 0 <= p <= 1
    assert proportions_p(second, first) == pytest.approx(p, abs=1e-9)
    assert proportions_p(first, first) == pytest.approx(1)


def test_one_run_against_seeds_by_hand():
    # t = (5 - 2) / (1 * sqrt(1/3 + 1)) with 2 degrees of freedom, for which p = 1 - t/sqrt(2+t^2).
    t = 3 / sqrt(4 / 3)

    assert seeds_p([1.0, 2.0, 3.0], [5.0]) == pytest.approx(1 - t / sqrt(2 + t * t))


def test_seeds_that_do_not_scatter_tell_nothing():
    assert seeds_p([1.0, 1.0], [2.0, 2.0]) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.lists(st.floats(0, 1), min_size=1))
def test_the_test_of_seeds_is_symmetric(first, second):
    p = seeds_p(first, second)

    assume(p is not None)
    assert p is not None
    assert 0 <= p <= 1
    assert seeds_p(second, first) == pytest.approx(p)


def test_accuracies_of_single_runs_are_held_to_the_test_images():
    row = only_row(single(measured("x", 90, 100), measured("y", 60, 100), measured("z", 88, 100)))

    assert row.differences[0] is None
    assert row.differences[1].value == pytest.approx(-0.3)
    assert row.differences[1].real is True
    assert row.differences[1].p == pytest.approx(proportions_p((90, 100), (60, 100)))
    assert row.differences[2].real is False
    assert row.spreads[1].low == binomial_interval(60, 100)[0]


def test_where_the_images_are_not_those_of_the_interval_the_intervals_decide():
    # 100 images, of which only 50 have a label: the count does not fit the interval.
    far = only_row(single(measured("x", 45, 50, 100), measured("y", 20, 50, 100)))
    near = only_row(single(measured("x", 45, 50, 100), measured("y", 43, 50, 100)))

    assert (far.differences[1].real, far.differences[1].p) == (True, None)
    assert (near.differences[1].real, near.differences[1].p) == (False, None)


def test_without_an_interval_it_is_not_known():
    row = only_row(single(MeasuredRun("x", {"a": 0.9}, 100), MeasuredRun("y", {"a": 0.1}, 100)))

    assert row.differences[1].value == pytest.approx(-0.8)
    assert row.differences[1].real is None
    assert row.differences[1].how == "no interval"


def test_what_is_not_the_same_thing_stands_side_by_side_without_a_test():
    groups = single(measured("x", 90, 100), measured("y", 60, 100), measured("z", 60, 100))
    (row,) = compare(groups, lambda name, group: "other images" if group == 1 else "")

    assert row.differences[1] == Difference(None, None, None, "other images")
    assert [one and one.mean for one in row.spreads] == [0.9, 0.6, 0.6]
    assert [one and one.real for one in row.differences] == [None, None, True]


def test_seeds_are_taken_together():
    first = Group("x", tuple(MeasuredRun(f"x{n}", {"a": 0.8 + n / 100}) for n in range(3)))
    other = Group("y", (MeasuredRun("y", {"a": 0.5}),))
    row = only_row([first, other])

    assert row.spreads[0].mean == pytest.approx(0.81)
    assert [row.spreads[0].low, row.spreads[0].high] == pytest.approx(
        [*mean_interval([0.8, 0.81, 0.82])]
    )
    assert row.spreads[0].values == pytest.approx((0.8, 0.81, 0.82))
    assert row.differences[1].value == pytest.approx(-0.31)
    assert row.differences[1].real is True
    assert "3 and 1 seeds" in row.differences[1].how


def test_seeds_that_do_not_scatter_are_held_to_the_test_images():
    first = Group("x", (measured("x0", 90, 100), measured("x1", 90, 100)))
    row = only_row([first, *single(measured("y", 60, 100))])

    assert row.differences[1].real is True
    assert row.differences[1].p == pytest.approx(proportions_p((90, 100), (60, 100)))
    bare = [Group("x", (MeasuredRun("x0", {"a": 1.0}), MeasuredRun("x1", {"a": 1.0})))]
    row = only_row([*bare, *single(MeasuredRun("y", {"a": 2.0}))])
    assert row.differences[1].real is None


def test_what_a_run_lacks_has_no_difference():
    rows = compare(single(MeasuredRun("x", {"a": 0.5}), MeasuredRun("y", {"b": 0.5})))

    assert [row.name for row in rows] == ["a", "b"]
    assert rows[0].spreads[1] is None
    assert rows[1].spreads[0] is None
    assert [row.differences for row in rows] == [(None, None), (None, None)]


def test_bounds_of_an_interval_are_no_measures_and_what_ends_like_them_is():
    runs = single(measured("x", 1, 2, x_low=3.0), measured("y", 1, 2))

    assert [row.name for row in compare(runs)] == ["a", "x_low"]
