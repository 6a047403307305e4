import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.geometry.retrieval import retrieval


def drawn(images=40, classes=4, width=5, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(images, width)).astype(np.float32), random.integers(
        0, classes, images
    )


def in_plain_loops(embeddings, labels, ks):
    unit = embeddings.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    precisions, first = [], []
    for query in range(len(unit)):
        others = [row for row in range(len(unit)) if row != query]
        similarity = {row: round(float(unit[query] @ unit[row]), 6) for row in others}
        ranked = sorted(others, key=lambda row: (-similarity[row], labels[row] == labels[query]))
        ranks = [rank for rank, row in enumerate(ranked, start=1) if labels[row] == labels[query]]
        if ranks:
            precisions.append(np.mean([i / rank for i, rank in enumerate(ranks, start=1)]))
            first.append(ranks[0])
    recalls = {f"recall_at_{k}": np.mean([rank <= k for rank in first]) for k in ks}
    return recalls | {"map": np.mean(precisions)}


@given(seed=st.integers(0, 1000), chunk=st.integers(1, 50), ties=st.booleans())
@settings(max_examples=25)
def test_equals_the_definition_in_plain_loops_whatever_the_chunk(seed, chunk, ties):
    embeddings, labels = drawn(seed=seed)
    if ties:
        embeddings = np.round(embeddings) + 0.5
    found = retrieval(embeddings, labels, ks=(1, 3), chunk=chunk)
    assert found == pytest.approx(in_plain_loops(embeddings, labels, (1, 3)), abs=1e-9)


def test_mean_average_precision_is_scikit_learn_s_where_nothing_ties():
    embeddings, labels = drawn(seed=3)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    expected = [
        average_precision_score(
            np.delete(labels == labels[row], row), np.delete(unit @ unit[row], row)
        )
        for row in range(len(unit))
    ]
    assert retrieval(embeddings, labels)["map"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_hand_worked():
    # By angle 0, 20, 50 and 90 degrees, classes 0 1 0 1. The ranks of the one other of the class:
    # 2 of 20|50|90; of 20: 0|50|90, the last; of 50: 20|90|0, the last; of 90: 50|20|0, second.
    angles = np.radians([0, 20, 50, 90])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = retrieval(embeddings, np.array([0, 1, 0, 1]), ks=(1, 2, 3))
    assert found == pytest.approx(
        {"recall_at_1": 0, "recall_at_2": 0.5, "recall_at_3": 1, "map": (2 * 1 / 2 + 2 * 1 / 3) / 4}
    )


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_the_order_of_the_images_does_not_matter_and_bounds_hold(seed):
    embeddings, labels = drawn(seed=seed)
    found = retrieval(np.round(embeddings) + 0.5, labels)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert retrieval(np.round(embeddings[order]) + 0.5, labels[order]) == pytest.approx(found)
    assert 0 <= found["recall_at_1"] <= found["recall_at_5"] <= found["recall_at_10"] <= 1
    assert 0 < found["map"] <= 1


def test_classes_apart_are_perfect_and_a_collapse_earns_nothing_by_ties():
    labels = np.arange(30) % 3
    assert retrieval(np.eye(3, dtype=np.float32)[labels], labels)["map"] == 1
    collapsed = retrieval(np.ones((30, 3), np.float32), labels)
    assert collapsed["recall_at_10"] == 0
    assert collapsed["map"] == pytest.approx(np.mean([i / (20 + i) for i in range(1, 10)]))


def test_single_images_of_a_class_do_not_search():
    embeddings, _ = drawn(4)
    assert retrieval(embeddings, np.arange(4)) == {}
    assert retrieval(embeddings, np.array([0, 0, 1, 2]), ks=(3,))["recall_at_3"] == 1


def test_what_cannot_be_searched_is_refused():
    embeddings, labels = drawn(4)
    with pytest.raises(EvaluationError, match=r"shape \[4\], but it is \[3\]"):
        retrieval(embeddings, labels[:3])
    with pytest.raises(EvaluationError, match="at least 1"):
        retrieval(embeddings, labels, ks=(0,))
