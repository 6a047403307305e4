from math import comb, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.clustering import cluster, clustering_agreement

assignments = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40)


def table(labels, clusters):
    counted = np.zeros((labels.max() + 1, clusters.max() + 1), int)
    np.add.at(counted, (labels, clusters), 1)
    return counted


def nmi(counted):
    total = counted.sum()
    rows, columns = counted.sum(axis=1), counted.sum(axis=0)
    shared = sum(
        n / total * log(total * n / (rows[i] * columns[j]))
        for (i, j), n in np.ndenumerate(counted)
        if n
    )
    entropies = [-sum(n / total * log(n / total) for n in one if n) for one in (rows, columns)]
    return shared / (sum(entropies) / 2) if sum(entropies) else 1.0


def ari(counted):
    pairs = comb(int(counted.sum()), 2)
    together = sum(comb(int(n), 2) for n in counted.ravel())
    rows = sum(comb(int(n), 2) for n in counted.sum(axis=1))
    columns = sum(comb(int(n), 2) for n in counted.sum(axis=0))
    expected = rows * columns / pairs
    highest = (rows + columns) / 2
    return 1.0 if highest == expected else (together - expected) / (highest - expected)


@given(assignments)
def test_equals_the_formulas_written_out(pairs):
    labels, clusters = np.array(pairs).T
    found = clustering_agreement(labels, clusters)
    counted = table(labels, clusters)
    assert found["nmi"] == pytest.approx(nmi(counted), abs=1e-9)
    assert found["ari"] == pytest.approx(ari(counted), abs=1e-9)


def test_hand_worked():
    # Of six pairs, {0,1} is together in both and {2,3} in neither; the class {0,1} is cut from 2.
    found = clustering_agreement(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    assert found["nmi"] == pytest.approx(log(2) / ((log(2) + 1.5 * log(2)) / 2))
    assert found["ari"] == pytest.approx((1 - 2 / 6) / (1.5 - 2 / 6))


@given(pairs=assignments, seed=st.integers(0, 100))
def test_neither_names_nor_order_matter_and_bounds_hold(pairs, seed):
    labels, clusters = np.array(pairs).T
    found = clustering_agreement(labels, clusters)
    random = np.random.default_rng(seed)
    order, names = random.permutation(len(labels)), random.permutation(4)
    again = clustering_agreement(names[labels][order], clusters[order])
    assert again == pytest.approx(found, abs=1e-9)
    assert -1e-9 <= found["nmi"] <= 1 + 1e-9
    assert -0.5 - 1e-9 <= found["ari"] <= 1 + 1e-9
    assert clustering_agreement(labels, labels)["ari"] == 1


def test_directions_are_found_whatever_the_lengths():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 120)
    embeddings = np.eye(3)[labels] + 0.02 * random.normal(size=(120, 3))
    embeddings = (embeddings * random.uniform(0.1, 50, (120, 1))).astype(np.float32)
    found = cluster(embeddings, 3)
    assert clustering_agreement(labels, found)["ari"] == 1
    np.testing.assert_array_equal(found, cluster(embeddings, 3))


def test_collapsed_embeddings_are_one_cluster_and_warn_nobody():
    found = cluster(np.ones((20, 4), np.float32), 3)
    np.testing.assert_array_equal(found, 0)
    assert clustering_agreement(np.arange(20) % 3, found) == {"nmi": 0, "ari": 0}


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(EvaluationError, match=r"\[2\] and \[3\]"):
        clustering_agreement(np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(EvaluationError, match=r"\[1, 2\].*but they are 3 and 4"):
        cluster(np.ones((2, 2), np.float32), 3)
