"""Which images are worth a look."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.evaluation.probes.example_images import (
    confident_errors,
    spread_over_classes,
)


def test_classes_take_turns():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    key_hashes = np.array([9, 3, 5, 7, 4, 8, 6])

    # First one of each class (the smallest identity), then a second one where there is one.
    assert spread_over_classes(labels, key_hashes, 3).tolist() == [1, 4, 6]
    assert spread_over_classes(labels, key_hashes, 5).tolist() == [1, 2, 4, 6, 5]


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=20), st.integers(1, 25), st.randoms())
def test_the_choice_does_not_depend_on_the_order(labels, count, random):
    labels = np.array(labels)
    key_hashes = np.array(random.sample(range(1000), len(labels)))
    turned = np.array(random.sample(range(len(labels)), len(labels)))
    chosen = spread_over_classes(labels, key_hashes, count)

    assert len(chosen) == len(set(chosen.tolist())) == min(count, len(labels))
    again = spread_over_classes(labels[turned], key_hashes[turned], count)
    assert key_hashes[turned][again].tolist() == key_hashes[chosen].tolist()
    # No class is left out while another has two.
    if count >= len(set(labels.tolist())):
        assert set(labels[chosen].tolist()) == set(labels.tolist())


def test_the_surest_mistakes_come_first():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    labels = np.array([1, 1, 1, 0])

    assert confident_errors(probabilities, labels, 9).tolist() == [0, 3, 1]
    assert confident_errors(probabilities, labels, 1).tolist() == [0]
    assert confident_errors(probabilities, probabilities.argmax(axis=1), 9).tolist() == []
