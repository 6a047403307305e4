import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.confusion_matrix import (
    confusion_matrix,
    most_confused,
    plot_confusion,
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


@pytest.mark.parametrize("classes", [2, 15, 100])
def test_a_figure_of_any_number_of_classes_is_drawn(tmp_path, classes):
    path = tmp_path / "confusion.png"
    names = [f"$a$ class of a long name {number}" for number in range(classes)]
    labels = np.arange(classes)
    plot_confusion(confusion_matrix(labels, labels[::-1], classes), names, path, "Classes")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_other_shapes_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"\[2, 2\], but its shape is \[3, 3\]"):
        plot_confusion(np.eye(3, dtype=np.int64), ["a", "b"], tmp_path / "a.png", "")
    with pytest.raises(EvaluationError, match="predicted must be in"):
        confusion_matrix(np.array([0, 1]), np.array([0, 2]), 2)
