import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.probes.knn import knn_accuracy, knn_predict, knn_votes


def drawn(*, train=60, test=25, width=5, classes=4, seed=0):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(train, width)).astype(np.float32),
        random.integers(0, classes, train),
        random.normal(size=(test, width)).astype(np.float32),
        random.integers(0, classes, test),
    )


def votes_in_plain_loops(train, labels, test, classes, k, temperature):
    """The formula of Wu et al. 2018, one pair at a time."""
    shares = []
    for image in test:
        similarities = [
            float(image @ other / (np.linalg.norm(image) * np.linalg.norm(other)))
            for other in train
        ]
        ranked = sorted(range(len(train)), key=lambda row: -similarities[row])[:k]
        votes = [0.0] * classes
        for row in ranked:
            votes[labels[row]] += math.exp(similarities[row] / temperature)
        shares.append([vote / sum(votes) for vote in votes])
    return np.array(shares)


@pytest.mark.parametrize("k", [1, 7, 60])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_equals_the_formula_in_plain_loops(k, temperature):
    train, labels, test, _ = drawn()
    votes = knn_predict(train, labels, test, classes=4, k=k, temperature=temperature)
    expected = votes_in_plain_loops(
        train.astype(np.float64), labels, test.astype(np.float64), 4, k, temperature
    )
    assert votes.dtype == np.float32
    np.testing.assert_allclose(votes, expected, atol=1e-5)


def test_hand_worked_two_distant_votes_lose_to_a_near_one_or_win_when_tempered():
    # From (1, 0) the similarities are 1, 0.6 and 0.6: at temperature t the one wins where
    # exp(1/t) > 2 exp(0.6/t), that is t < 0.4 / log 2 = 0.577.
    train = np.array([[2, 0], [3, 4], [0.3, -0.4]], np.float32)
    labels = np.array([0, 1, 1])
    test = np.array([[5, 0]], np.float32)
    share = math.exp(1 / 0.5) / (math.exp(1 / 0.5) + 2 * math.exp(0.6 / 0.5))
    votes = knn_predict(train, labels, test, classes=2, temperature=0.5)
    np.testing.assert_allclose(votes, [[share, 1 - share]], rtol=1e-6)
    near, tempered = (
        knn_accuracy(train, labels, test, np.array([0]), classes=2, temperature=temperature)
        for temperature in (0.5, 0.6)
    )
    assert (near, tempered) == (1.0, 0.0)


@given(
    seed=st.integers(0, 1000),
    chunk=st.integers(1, 40),
    k=st.integers(1, 80),
    # Whole numbers from a small grid: many images lie in one direction and tie.
    ties=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_the_chunk_does_not_matter_even_to_ties(seed, chunk, k, ties):
    train, labels, test, _ = drawn(seed=seed)
    if ties:
        train, test = np.round(train), np.round(test)
    whole = knn_predict(train, labels, test, classes=4, k=k, chunk=1000)
    parts = knn_predict(train, labels, test, classes=4, k=k, chunk=chunk)
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_allclose(whole.sum(axis=1), 1, rtol=1e-6)


def test_the_first_of_equally_similar_images_vote():
    train = np.ones((6, 3), np.float32)
    labels = np.array([2, 2, 1, 0, 0, 0])
    votes = knn_predict(train, labels, np.ones((1, 3), np.float32), classes=3, k=3)
    np.testing.assert_allclose(votes, [[0, 1 / 3, 2 / 3]], rtol=1e-6)


def test_equal_votes_go_to_the_lower_class():
    train = np.array([[1, 1], [1, -1]], np.float32)
    test = np.array([[1, 0]], np.float32)
    assert knn_accuracy(train, np.array([1, 0]), test, np.array([0]), classes=2) == 1.0


def test_more_neighbours_than_images_are_all_images():
    train, labels, test, test_labels = drawn()
    capped, all_vote = (
        knn_accuracy(train, labels, test, test_labels, classes=4, k=k) for k in (1000, 60)
    )
    assert capped == all_vote


@given(scale=st.floats(1e-3, 1e3), temperature=st.sampled_from([1e-4, 0.07]))
@settings(max_examples=20, deadline=None)
def test_lengths_of_embeddings_do_not_matter(scale, temperature):
    train, labels, test, _ = drawn()
    votes = knn_predict(train, labels, test, classes=4, temperature=temperature)
    scaled = knn_predict(train * scale, labels, test / scale, classes=4, temperature=temperature)
    np.testing.assert_array_equal(votes.argmax(axis=1), scaled.argmax(axis=1))


def test_a_training_image_finds_itself():
    train, labels, _, _ = drawn()
    assert knn_accuracy(train, labels, train, labels, classes=4, k=1) == 1.0


def test_an_embedding_of_zeros_is_as_near_to_all():
    train, labels, _, _ = drawn()
    votes = knn_predict(train, labels, np.zeros((1, 5), np.float32), classes=4, k=60)
    np.testing.assert_allclose(votes[0], np.bincount(labels) / 60, rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"chunk": 0}, {"temperature": 0.0}])
def test_settings_out_of_range_are_refused(wrong):
    train, labels, test, _ = drawn()
    with pytest.raises(EvaluationError, match="at least 1 and temperature above 0"):
        knn_predict(train, labels, test, classes=4, **wrong)


def test_different_widths_are_refused():
    train, labels, test, _ = drawn()
    with pytest.raises(EvaluationError, match="one width, but they have 5 and 4"):
        knn_predict(train, labels, test[:, :4], classes=4)


def test_missing_labels_are_refused_and_say_on_which_side():
    train, labels, test, test_labels = drawn()
    with pytest.raises(EvaluationError, match=r"train_labels .* missing"):
        knn_accuracy(train, np.full_like(labels, -1), test, test_labels, classes=4)
    with pytest.raises(EvaluationError, match=r"test_labels .* missing"):
        knn_accuracy(train, labels, test, np.full_like(test_labels, -1), classes=4)


def test_several_ks_are_answered_by_one_search():
    train, labels, test, _ = drawn()
    ks = (7, 1, 60)
    votes = knn_votes(train, labels, test, classes=4, ks=ks)
    for k, found in zip(ks, votes, strict=True):
        np.testing.assert_array_equal(found, knn_predict(train, labels, test, classes=4, k=k))


@pytest.mark.parametrize("k", [1, 9])
def test_equal_weights_predict_what_scikit_learn_s_votes_do(k):
    train, labels, test, _ = drawn(classes=2)
    votes = knn_predict(train, labels, test, classes=2, k=k, temperature=1e6)
    model = KNeighborsClassifier(k, metric="cosine", algorithm="brute").fit(train, labels)
    np.testing.assert_array_equal(votes.argmax(axis=1), model.predict(test))
