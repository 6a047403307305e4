import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.confusion_matrix import (
    confusion_matrix,
    most_confused,
)

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=50)


@given(pairs)
def test_equals_scikit_learn_and_counts_every_image(drawn):
    labels, predicted = np.array(drawn).T
    matrix = confusion_matrix(labels, predicted, 5)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(5))
    np.testing.assert_array_equal(matrix, expected)
    assert np.trace(matrix) == (labels == predicted).sum()
    assert matrix.dtype == np.int64


def test_hand_worked_with_the_most_frequent_mistakes():
    matrix = confusion_matrix(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 0, 1]), 3)
    np.testing.assert_array_equal(matrix, [[1, 2, 0], [1, 1, 0], [0, 0, 0]])
    assert most_confused(matrix, ["cat", "dog", "cow"]) == [
        {"class": "cat", "taken_for": "dog", "images": 2},
        {"class": "dog", "taken_for": "cat", "images": 1},
    ]


def test_predictions_that_are_no_classes_are_refused():
    with pytest.raises(EvaluationError, match="predicted must be in"):
        confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
