import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.losses.contrastive import cross_view


def projections(images, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(2, images, width))


def loss_of(views, temperature=0.5):
    loss, accuracy = cross_view(tf.constant(views), tf.constant(views), tf.constant(0), temperature)
    return loss.numpy(), accuracy.numpy()


def cross_view_in_plain_loops(views, temperature):
    """Each image of one view among the N images of the other, one pair at a time."""
    losses, hits = [], []
    for rows, columns in (views, views[::-1]):
        for i, row in enumerate(rows):
            similarity = [
                row @ column / (np.linalg.norm(row) * np.linalg.norm(column)) for column in columns
            ]
            total = sum(math.exp(value / temperature) for value in similarity)
            losses.append(-math.log(math.exp(similarity[i] / temperature) / total))
            hits.append(np.argmax(similarity) == i)
    return np.mean(losses), np.mean(hits)


@given(
    images=st.integers(1, 7),
    temperature=st.sampled_from([0.05, 0.1, 0.5, 2.0]),
    seed=st.integers(0, 1_000),
)
@settings(max_examples=30)
def test_equals_the_formula_in_plain_loops(images, temperature, seed):
    views = projections(images, seed=seed)

    np.testing.assert_allclose(
        loss_of(views, temperature), cross_view_in_plain_loops(views, temperature), rtol=1e-9
    )


def test_equal_views_of_orthogonal_images_have_a_closed_form():
    loss, accuracy = loss_of(np.stack([np.eye(6)] * 2), 0.1)

    # The partner at similarity 1 and five others at 0.
    assert loss == pytest.approx(math.log(math.exp(10) + 5) - 10, rel=1e-9)
    assert accuracy == 1.0


def test_projections_that_are_all_alike_are_as_good_as_chance():
    loss, accuracy = loss_of(np.ones((2, 8, 5)))

    assert loss == pytest.approx(math.log(8), rel=1e-12)
    assert accuracy == 1 / 8


def test_images_of_the_same_view_do_not_repel_each_other():
    first, second = np.eye(4)[:2], np.eye(4)[2:]
    alike = np.stack([[first[0], first[0]], second])

    # Whatever the first view's images have in common, they are as far from the second view's.
    assert loss_of(alike)[0] == pytest.approx(loss_of(np.stack([first, second]))[0], rel=1e-12)


def test_swapping_the_views_changes_nothing():
    views = projections(6)

    np.testing.assert_allclose(loss_of(views[::-1].copy()), loss_of(views), rtol=1e-12)


def test_the_length_of_a_projection_does_not_matter():
    views = projections(5)
    lengths = np.random.default_rng(1).uniform(0.01, 100, (2, 5, 1))

    np.testing.assert_allclose(loss_of(views * lengths), loss_of(views), rtol=1e-9)
