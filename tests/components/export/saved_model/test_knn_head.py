"""The index of neighbours in a graph answers as the measure of the same name does."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.errors import ExportError
from twofold.components.evaluation.probes.knn import knn_predict
from twofold.components.export.saved_model.knn_head import NeighbourHead


def shares(head, queries):
    spec = tf.TensorSpec([None, head.features], tf.float32)
    graph = tf.function(head.build().logits).get_concrete_function(spec)
    return tf.nn.softmax(graph(tf.constant(queries))).numpy()


def measured(head, queries):
    return knn_predict(
        head.embeddings,
        head.labels,
        queries,
        classes=head.classes,
        k=head.k,
        temperature=head.temperature,
    )


def test_the_nearest_vote_with_the_exponential_of_their_cosine():
    rows = np.array([[1, 0], [0, 2], [-3, 0]], np.float32)
    head = NeighbourHead(rows, np.array([0, 1, 2]), 4, k=2, temperature=0.5)

    # Cosines 0.6, 0.8 and -0.6; the last does not vote.
    found = shares(head, np.array([[3, 4]], np.float32))

    near, far = np.exp(0.8 / 0.5), np.exp(0.6 / 0.5)
    np.testing.assert_allclose(found, [[far / (near + far), near / (near + far), 0, 0]], atol=1e-6)


def test_of_equally_near_ones_the_first_vote():
    rows = np.tile(np.array([[1, 2, 2]], np.float32), (50, 1)) * np.arange(1, 51)[:, None]
    head = NeighbourHead(rows.astype(np.float32), np.arange(50), 50, k=3)

    found = shares(head, np.array([[2, 1, 2]], np.float32))

    np.testing.assert_allclose(found[0, :3], 1 / 3, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 300),
    k=st.sampled_from([1, 5, 400]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    whole=st.booleans(),
)
def test_the_votes_are_those_of_the_measure(seed, count, k, scale, whole):
    random = np.random.default_rng(seed)
    rows, queries = (random.normal(size=(size, 6)) for size in (count, 9))
    if whole:
        # Many equal directions, and rows of zeros.
        rows, queries = np.round(rows), np.round(queries)
    rows, queries = ((part * scale).astype(np.float32) for part in (rows, queries))
    head = NeighbourHead(rows, random.integers(0, 4, count), 4, k=k, temperature=0.07)

    np.testing.assert_allclose(shares(head, queries), measured(head, queries), atol=2e-6)


def test_many_alike_embeddings_are_ranked_as_the_measure_ranks_them():
    random = np.random.default_rng(0)
    rows = (1 + 1e-4 * random.normal(size=(2000, 32))).astype(np.float32)
    queries = (1 + 1e-4 * random.normal(size=(20, 32))).astype(np.float32)
    head = NeighbourHead(rows, random.integers(0, 3, 2000), 3, k=20)

    np.testing.assert_allclose(shares(head, queries), measured(head, queries), atol=2e-6)


def test_no_image_gets_no_answer():
    head = NeighbourHead(np.eye(3, dtype=np.float32), np.arange(3), 3)

    assert shares(head, np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_a_class_without_a_vote_has_a_finite_logit():
    head = NeighbourHead(np.eye(2, dtype=np.float32), np.array([0, 0]), 2)

    logits = head.build().logits(tf.constant([[1.0, 0.0]]))

    assert np.isfinite(logits).all()


def test_the_embeddings_are_stored_once():
    head = NeighbourHead(np.ones((100, 8), np.float32), np.zeros(100, int), 1)

    stored = sum(
        variable.dtype.size * np.prod(variable.shape) for variable in head.build().variables
    )

    assert stored == 100 * (8 * 4 + 8 + 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.array([0])}, r"embeddings \[N, D\] and labels \[N\], received \(2, 2\)"),
        ({"embeddings": np.zeros((0, 2)), "labels": np.zeros(0, int)}, r"received \(0, 2\)"),
        ({"embeddings": np.array([[1, np.nan], [0, 0]])}, "must be finite"),
        ({"labels": np.array([0, 2])}, r"lie in \[0, 2\), received 0 to 2"),
        ({"k": 0}, "k must be at least 1 and temperature above 0, received 0"),
        ({"temperature": 0.0}, "received 20 and 0.0"),
    ],
)
def test_an_index_that_cannot_be_is_refused(changes, message):
    whole = {"embeddings": np.eye(2, dtype=np.float32), "labels": np.array([0, 1]), "classes": 2}

    with pytest.raises(ExportError, match=message):
        NeighbourHead(**(whole | changes))
