import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.calibration import reliability


def drawn(images=200, classes=4, seed=0):
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(classes), images), random.integers(0, classes, images)


@given(seed=st.integers(0, 1000), bins=st.integers(1, 20))
def test_equals_the_formula_in_plain_loops(seed, bins):
    probabilities, labels = drawn(seed=seed)
    total = 0.0
    for number in range(1, bins + 1):
        inside = [
            (max(row), int(np.argmax(row)) == label)
            for row, label in zip(probabilities, labels, strict=True)
            if (number - 1) / bins < max(row) <= number / bins
        ]
        if inside:
            confidence, right = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(right - confidence)
    assert reliability(probabilities, labels, bins=bins).ece == pytest.approx(total, abs=1e-9)


def test_bins_are_those_of_scikit_learn():
    probabilities, labels = drawn()
    right = probabilities.argmax(axis=1) == labels
    accuracies, confidences = calibration_curve(right, probabilities.max(axis=1), n_bins=10)
    measured = reliability(probabilities, labels, bins=10)
    filled = measured.counts > 0
    np.testing.assert_allclose(measured.accuracies[filled], accuracies)
    np.testing.assert_allclose(measured.confidences[filled], confidences)


def test_hand_worked():
    # Two bins: 0.5 (right) below, 0.8 (right) and 1.0 (wrong) above.
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]])
    measured = reliability(probabilities, np.array([0, 1, 1]), bins=2)
    np.testing.assert_array_equal(measured.counts, [1, 2])
    np.testing.assert_allclose(measured.confidences, [0.5, 0.9])
    np.testing.assert_allclose(measured.accuracies, [1, 0.5])
    assert measured.ece == pytest.approx(0.5 / 3 + 0.4 * 2 / 3)


@given(seed=st.integers(0, 1000))
def test_the_order_does_not_matter_and_bounds_hold(seed):
    probabilities, labels = drawn(seed=seed)
    measured = reliability(probabilities, labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert reliability(probabilities[order], labels[order]).ece == pytest.approx(measured.ece)
    assert 0 <= measured.ece <= 1
    assert measured.counts.sum() == len(labels)


def test_a_sure_and_right_classifier_has_no_error():
    assert reliability(np.eye(3), np.arange(3)).ece == 0
    assert reliability(np.eye(3), np.array([1, 2, 0])).ece == 1


def test_what_is_no_probability_is_refused():
    with pytest.raises(EvaluationError, match="add up to 1"):
        reliability(np.array([[2.0, 3.0]]), np.array([0]))
    with pytest.raises(EvaluationError, match="bins must be at least 1"):
        reliability(np.array([[0.5, 0.5]]), np.array([0]), bins=0)
