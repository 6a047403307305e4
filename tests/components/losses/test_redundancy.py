import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.losses.redundancy import barlow_twins, correlation_accuracy, vicreg

# Four images, three units that do not correlate, each of mean 0 and biased variance 1.
HADAMARD = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], np.float64)


def two_views(images, units, seed=0, alike=0.5):
    random = np.random.default_rng(seed)
    first = random.normal(loc=3, scale=2, size=(images, units))
    return first, first + alike * random.normal(size=(images, units))


def standardised(rows):
    return (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)


def barlow_twins_in_plain_loops(first, second, off_diagonal):
    """Equations 1 and 2 of Zbontar et al. 2021, one pair of units at a time."""
    first, second = standardised(first), standardised(second)
    loss = 0.0
    for i in range(first.shape[1]):
        for j in range(first.shape[1]):
            correlation = np.mean(first[:, i] * second[:, j])
            loss += (correlation - 1) ** 2 if i == j else off_diagonal * correlation**2
    return loss


def vicreg_in_plain_loops(first, second, invariance, variance, covariance):
    """Equations 1 to 6 of Bardes et al. 2022, with the mean over units in equation 5."""
    loss = invariance * np.mean((first - second) ** 2)
    for view in (first, second):
        deviation = np.sqrt(view.var(axis=0, ddof=1) + 1e-4)
        loss += variance * np.mean([max(0, 1 - one) for one in deviation])
        matrix = np.cov(view, rowvar=False, ddof=1).reshape(view.shape[1], view.shape[1])
        units = range(view.shape[1])
        squares = [matrix[i, j] ** 2 for i in units for j in units if i != j]
        loss += covariance * sum(squares) / view.shape[1]
    return loss


@given(
    images=st.integers(2, 8),
    units=st.integers(1, 8),
    off_diagonal=st.sampled_from([0.0, 0.005, 1.0]),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=30)
def test_barlow_twins_equals_the_formula_in_plain_loops(images, units, off_diagonal, seed):
    first, second = two_views(images, units, seed)

    loss = barlow_twins(tf.constant(first), tf.constant(second), off_diagonal).numpy()

    expected = barlow_twins_in_plain_loops(first, second, off_diagonal)
    assert loss == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_barlow_twins_of_equal_views_without_redundancy_is_zero():
    loss = barlow_twins(tf.constant(HADAMARD), tf.constant(5 * HADAMARD + 2))

    assert loss.numpy() == pytest.approx(0, abs=1e-9)


def test_barlow_twins_of_opposite_views_costs_four_a_unit():
    assert barlow_twins(tf.constant(HADAMARD), tf.constant(-HADAMARD)).numpy() == pytest.approx(
        12, rel=1e-4
    )


def test_barlow_twins_of_one_unit_copied_costs_the_redundancy():
    copied = tf.constant(np.repeat(HADAMARD[:, :1], 3, axis=1))

    # Six pairs of different units with correlation 1.
    assert barlow_twins(copied, copied, 0.005).numpy() == pytest.approx(0.03, rel=1e-4)


def test_a_constant_unit_correlates_with_nothing():
    first = np.concatenate([HADAMARD, np.full((4, 1), 0.1)], axis=1)

    loss = barlow_twins(tf.constant(first, tf.float32), tf.constant(first, tf.float32))

    assert loss.numpy() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("loss", [barlow_twins, vicreg, correlation_accuracy])
def test_swapping_the_views_changes_nothing(loss):
    first, second = (tf.constant(view) for view in two_views(6, 4))

    assert loss(first, second).numpy() == pytest.approx(loss(second, first).numpy(), rel=1e-12)


@pytest.mark.parametrize("loss", [barlow_twins, vicreg, correlation_accuracy])
def test_the_order_of_images_and_of_units_does_not_matter(loss):
    first, second = two_views(6, 4)

    moved = loss(*(tf.constant(v[[3, 0, 5, 1, 4, 2]][:, [2, 0, 3, 1]]) for v in (first, second)))

    assert moved.numpy() == pytest.approx(
        loss(tf.constant(first), tf.constant(second)).numpy(), rel=1e-12
    )


@pytest.mark.parametrize("loss", [barlow_twins, vicreg])
@pytest.mark.parametrize(("images", "units"), [(16, 200), (200, 16)])
def test_single_precision_stands_large_means_and_many_units(loss, images, units):
    # Rounding the inputs first leaves the error of the computation alone.
    first, second = (view.astype(np.float32) + 100 for view in two_views(images, units))

    single = loss(tf.constant(first), tf.constant(second)).numpy()

    double = loss(tf.constant(first, tf.float64), tf.constant(second, tf.float64)).numpy()
    assert single == pytest.approx(double, rel=2e-5)


@given(images=st.integers(2, 8), units=st.integers(1, 8), seed=st.integers(0, 1_000))
@settings(max_examples=30)
def test_vicreg_equals_the_formula_in_plain_loops(images, units, seed):
    first, second = (view / 2 for view in two_views(images, units, seed))

    loss = vicreg(tf.constant(first), tf.constant(second), 5.0, 3.0, 2.0).numpy()

    assert loss == pytest.approx(vicreg_in_plain_loops(first, second, 5.0, 3.0, 2.0), rel=1e-9)


def test_the_weights_of_vicreg_are_the_papers():
    first, second = (view / 2 for view in two_views(6, 4))

    loss = vicreg(tf.constant(first), tf.constant(second)).numpy()

    assert loss == pytest.approx(vicreg_in_plain_loops(first, second, 25, 25, 1), rel=1e-9)


def test_vicreg_of_a_collapse_costs_the_variance_term_alone():
    collapsed = tf.constant(np.full((4, 3), 0.3))

    # Every deviation is sqrt(1e-4), in both views.
    assert vicreg(collapsed, collapsed).numpy() == pytest.approx(2 * 25 * 0.99, rel=1e-9)


def test_vicreg_of_equal_views_that_vary_without_redundancy_is_zero():
    assert vicreg(tf.constant(HADAMARD), tf.constant(HADAMARD)).numpy() == pytest.approx(
        0, abs=1e-12
    )


def test_vicreg_of_one_unit_copied_costs_the_covariance():
    copied = tf.constant(np.repeat(HADAMARD[:, :1], 3, axis=1))

    # In each view, 6 pairs of covariance 4/3, divided by 3 units.
    expected = 2 * 6 * (4 / 3) ** 2 / 3
    assert vicreg(copied, copied).numpy() == pytest.approx(expected, rel=1e-12)


def test_the_distance_in_vicreg_is_the_mean_over_images_and_units():
    shifted = HADAMARD + 2

    loss = vicreg(tf.constant(HADAMARD), tf.constant(shifted), variance=0.0, covariance=0.0)

    assert loss.numpy() == pytest.approx(25 * 4, rel=1e-12)


@given(images=st.integers(3, 8), units=st.integers(1, 8), seed=st.integers(0, 1_000))
@settings(max_examples=30)
def test_correlation_accuracy_equals_its_definition(images, units, seed):
    # However little the units vary; of two images all correlations would be 1 or -1.
    first, second = (1e-3 * view for view in two_views(images, units, seed, alike=3.0))

    accuracy = correlation_accuracy(tf.constant(first), tf.constant(second)).numpy()

    one, other = ((view - view.mean(axis=0)) / view.std(axis=0) for view in (first, second))
    correlation = one.T @ other
    hits = [
        best == unit for axis in (0, 1) for unit, best in enumerate(correlation.argmax(axis=axis))
    ]
    assert math.isclose(accuracy, np.mean(hits))


def test_units_that_match_themselves_are_all_accurate():
    assert correlation_accuracy(tf.constant(HADAMARD), tf.constant(HADAMARD)).numpy() == 1.0


def test_units_that_match_another_unit_are_never_accurate():
    moved = np.roll(HADAMARD, 1, axis=1)

    assert correlation_accuracy(tf.constant(HADAMARD), tf.constant(moved)).numpy() == 0.0


def test_one_way_can_be_more_accurate_than_the_other():
    # The second view's last two units are copies of its first, with noise that the first one lacks.
    first = HADAMARD
    second = np.stack([HADAMARD[:, 0]] * 3, axis=1) + 0.1 * HADAMARD * [0, 1, 1]

    # Units of the first view find themselves; of the second view, only the first one does.
    accuracy = correlation_accuracy(tf.constant(first), tf.constant(second)).numpy()
    assert accuracy == pytest.approx((3 + 1) / 6)
