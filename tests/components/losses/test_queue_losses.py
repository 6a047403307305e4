import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.losses.contrastive import info_nce_queue, nearest_neighbour, nnclr


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def random_rows(rows, width=5, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, width))


def values(result):
    return [value.numpy() for value in result]


def cross_entropy_in_plain_loops(rows, columns, temperature):
    """The mean over i of -log(exp(r_i c_i / tau) / sum over j of exp(r_i c_j / tau))."""
    losses = []
    for i, row in enumerate(rows):
        scores = [math.exp(row @ column / temperature) for column in columns]
        losses.append(-math.log(scores[i] / sum(scores)))
    return np.mean(losses)


def neighbour_in_plain_loops(row, queue):
    return max(queue, key=lambda entry: entry @ row)


class TestNearestNeighbour:
    def test_is_the_row_of_the_queue_with_the_largest_product(self):
        projections, queue = random_rows(7), unit(random_rows(11, seed=1))

        found = nearest_neighbour(tf.constant(projections), tf.constant(queue))

        expected = [neighbour_in_plain_loops(row, queue) for row in projections]
        np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_takes_any_leading_shape(self):
        projections, queue = random_rows(8), tf.constant(unit(random_rows(9, seed=1)))

        found = nearest_neighbour(tf.constant(projections.reshape(2, 4, 5)), queue)

        np.testing.assert_array_equal(
            tf.reshape(found, [8, 5]), nearest_neighbour(tf.constant(projections), queue)
        )

    def test_a_projection_of_the_queue_finds_itself(self):
        queue = unit(random_rows(6))

        np.testing.assert_allclose(
            nearest_neighbour(tf.constant(3 * queue), tf.constant(queue)), queue, rtol=1e-12
        )

    def test_the_gradient_goes_straight_through_to_the_normalised_projection(self):
        projections, queue = tf.constant(random_rows(3)), tf.constant(unit(random_rows(6, seed=1)))
        upstream = random_rows(3, seed=2)

        def gradients(function):
            with tf.GradientTape() as tape:
                tape.watch([projections, queue])
                output = tf.reduce_sum(function() * upstream)
            return tape.gradient(output, [projections, queue])

        of_projections, of_queue = gradients(lambda: nearest_neighbour(projections, queue))
        expected, _ = gradients(lambda: tf.math.l2_normalize(projections, axis=1))

        np.testing.assert_allclose(of_projections, expected, rtol=1e-12)
        assert of_queue is None

    def test_by_the_paper_the_gradient_ends_at_the_neighbour(self):
        projections, queue = tf.constant(random_rows(3)), tf.constant(unit(random_rows(6, seed=1)))

        with tf.GradientTape() as tape:
            tape.watch([projections, queue])
            found = nearest_neighbour(projections, queue, straight_through=False)
            total = tf.reduce_sum(found)

        np.testing.assert_allclose(found, nearest_neighbour(projections, queue), rtol=1e-12)
        assert tape.gradient(total, [projections, queue]) == [None, None]


class TestNnclr:
    def test_neighbours_of_the_projections_are_held_to_the_predictions(self):
        # Dwibedi et al. (2021), section 3.2: NN(z, Q) against p, both ways, and the views swapped.
        first, second, first_p, second_p = random_rows(24).reshape(4, 6, 5)
        queue = unit(random_rows(13, seed=1))

        loss, accuracy = nnclr(
            tf.constant(first),
            tf.constant(second),
            tf.constant(queue),
            0.1,
            predictions=(tf.constant(first_p), tf.constant(second_p)),
        )

        first_nn, second_nn = (
            np.array([neighbour_in_plain_loops(row, queue) for row in view])
            for view in (first, second)
        )
        first_p, second_p = unit(first_p), unit(second_p)
        pairs = [(first_nn, second_p), (second_p, first_nn), (second_nn, first_p)]
        pairs.append((first_p, second_nn))
        expected = np.mean([cross_entropy_in_plain_loops(*pair, 0.1) for pair in pairs])
        assert loss.numpy() == pytest.approx(expected, rel=1e-9)
        nearest = first_p @ second_p.T
        hits = [nearest.argmax(axis) == np.arange(6) for axis in (0, 1)]
        assert accuracy.numpy() == np.mean(hits)

    @given(
        images=st.integers(1, 6), temperature=st.sampled_from([0.1, 1.0]), seed=st.integers(0, 99)
    )
    @settings(max_examples=20)
    def test_equals_the_four_terms_in_plain_loops(self, images, temperature, seed):
        first, second = random_rows(2 * images, seed=seed).reshape(2, images, 5)
        queue = unit(random_rows(13, seed=seed + 1))

        loss, accuracy = nnclr(
            tf.constant(first), tf.constant(second), tf.constant(queue), temperature
        )

        first, second = unit(first), unit(second)
        first_nn, second_nn = (
            np.array([neighbour_in_plain_loops(row, queue) for row in view])
            for view in (first, second)
        )
        pairs = [(first_nn, second), (second, first_nn), (second_nn, first), (first, second_nn)]
        expected = np.mean([cross_entropy_in_plain_loops(*pair, temperature) for pair in pairs])
        assert loss.numpy() == pytest.approx(expected, rel=1e-9)
        nearest = first @ second.T
        hits = [nearest.argmax(axis) == np.arange(images) for axis in (0, 1)]
        assert accuracy.numpy() == np.mean(hits)

    def test_orthogonal_images_that_are_in_the_queue_have_a_closed_form(self):
        images = tf.constant(np.eye(4))

        loss, accuracy = nnclr(images, images, images, 0.1)

        assert loss.numpy() == pytest.approx(math.log(math.exp(10) + 3) - 10, rel=1e-9)
        assert accuracy.numpy() == 1.0

    def test_a_queue_of_one_row_draws_everything_to_it(self):
        first, second = random_rows(4), random_rows(4, seed=1)

        loss, _ = nnclr(
            tf.constant(first), tf.constant(second), tf.constant(np.eye(5)[:1]), temperature=1.0
        )

        # Two terms are of equal columns: log 4 each. In the others, every row is the queue's.
        others = [
            np.log(np.exp(unit(view)[:, 0]).sum()) - unit(view)[:, 0].mean()
            for view in (first, second)
        ]
        assert loss.numpy() == pytest.approx((2 * math.log(4) + sum(others)) / 4, rel=1e-12)

    def test_swapping_the_views_changes_nothing(self):
        first, second = tf.constant(random_rows(5)), tf.constant(random_rows(5, seed=1))
        queue = tf.constant(unit(random_rows(9, seed=2)))

        np.testing.assert_allclose(
            values(nnclr(first, second, queue, 0.2)),
            values(nnclr(second, first, queue, 0.2)),
            rtol=1e-12,
        )


class TestInfoNceQueue:
    @given(
        images=st.integers(1, 6),
        size=st.integers(1, 9),
        temperature=st.sampled_from([0.07, 1.0]),
        seed=st.integers(0, 99),
    )
    @settings(max_examples=20)
    def test_equals_the_formula_in_plain_loops(self, images, size, temperature, seed):
        queries, keys = random_rows(images, seed=seed), random_rows(images, seed=seed + 1)
        queue = unit(random_rows(size, seed=seed + 2))

        loss, accuracy = info_nce_queue(
            tf.constant(queries), tf.constant(keys), tf.constant(queue), temperature
        )

        losses, hits = [], []
        for query, key in zip(unit(queries), unit(keys), strict=True):
            positive, negative = query @ key, [query @ row for row in queue]
            total = sum(math.exp(score / temperature) for score in (positive, *negative))
            losses.append(-math.log(math.exp(positive / temperature) / total))
            hits.append(positive > max(negative))
        assert loss.numpy() == pytest.approx(np.mean(losses), rel=1e-9)
        assert accuracy.numpy() == np.mean(hits)

    def test_orthogonal_negatives_have_a_closed_form(self):
        queries, queue = tf.constant(np.eye(6)[:2]), tf.constant(np.eye(6)[2:])

        loss, accuracy = info_nce_queue(queries, queries, queue, 0.2)

        assert loss.numpy() == pytest.approx(math.log(math.exp(5) + 4) - 5, rel=1e-12)
        assert accuracy.numpy() == 1.0

    def test_projections_that_are_all_alike_are_never_accurate(self):
        ones = tf.constant(unit(np.ones((4, 4))))

        loss, accuracy = info_nce_queue(ones, ones, ones, 0.2)

        assert loss.numpy() == pytest.approx(math.log(5), rel=1e-12)
        assert accuracy.numpy() == 0.0

    def test_keys_and_queue_get_no_gradient(self):
        tensors = [tf.constant(unit(random_rows(4, seed=seed))) for seed in range(3)]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss, _ = info_nce_queue(tensors[0], tensors[1], tensors[2], 0.2)

        queries, keys, queue = tape.gradient(loss, tensors)
        assert np.any(queries)
        assert keys is None
        assert queue is None
