import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.losses.contrastive import nt_xent


def projections(images, width=6, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(2, images, width)).astype(dtype)


def loss_of(views, temperature=0.5):
    loss, accuracy = nt_xent(tf.constant(views), tf.constant(views), tf.constant(0), temperature)
    return loss.numpy(), accuracy.numpy()


def nt_xent_in_plain_loops(views, temperature):
    """Equation 1 of Chen et al. 2020, one pair at a time."""
    count = views.shape[1]
    rows = views.reshape(2 * count, -1)
    losses, hits = [], []
    for i in range(2 * count):
        similarity = {
            j: float(rows[i] @ rows[j] / (np.linalg.norm(rows[i]) * np.linalg.norm(rows[j])))
            for j in range(2 * count)
            if j != i
        }
        partner = (i + count) % (2 * count)
        total = sum(math.exp(value / temperature) for value in similarity.values())
        losses.append(-math.log(math.exp(similarity[partner] / temperature) / total))
        hits.append(max(similarity, key=similarity.__getitem__) == partner)
    return np.mean(losses), np.mean(hits)


@given(
    images=st.integers(1, 7),
    temperature=st.sampled_from([0.05, 0.1, 0.5, 2.0]),
    seed=st.integers(0, 1_000),
)
@settings(deadline=None, max_examples=30)
def test_equals_the_formula_in_plain_loops(images, temperature, seed):
    views = projections(images, seed=seed)

    result = loss_of(views, temperature)

    np.testing.assert_allclose(result, nt_xent_in_plain_loops(views, temperature), rtol=1e-9)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_equal_projections_cost_the_logarithm_of_all_others(temperature):
    loss, _ = loss_of(np.ones((2, 8, 5)), temperature)

    assert loss == pytest.approx(math.log(15), rel=1e-12)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_equal_views_of_orthogonal_images_have_a_closed_form(temperature):
    views = np.stack([np.eye(6)] * 2)

    loss, accuracy = loss_of(views, temperature)

    # The partner at similarity 1, 2N - 2 others at 0.
    expected = math.log(math.exp(1 / temperature) + 10) - 1 / temperature
    assert loss == pytest.approx(expected, rel=1e-12)
    assert accuracy == 1.0


def test_views_that_match_the_wrong_image_are_never_accurate():
    first = np.eye(4)

    loss, accuracy = loss_of(np.stack([first, np.roll(first, 1, axis=0)]), 0.1)

    assert accuracy == 0.0
    # The partner at 0, one other image at 1, four others at 0.
    assert loss == pytest.approx(math.log(math.exp(10) + 6), rel=1e-12)


def test_a_single_image_has_no_negatives_and_costs_nothing():
    assert loss_of(projections(1)) == (0.0, 1.0)


def test_swapping_the_views_changes_nothing():
    views = projections(6)

    np.testing.assert_allclose(loss_of(views[::-1].copy()), loss_of(views), rtol=1e-12)


def test_the_order_of_the_images_does_not_matter():
    views = projections(6)

    np.testing.assert_allclose(
        loss_of(views[:, [3, 0, 5, 1, 4, 2]].copy()), loss_of(views), rtol=1e-12
    )


def test_the_length_of_a_projection_does_not_matter():
    views = projections(5)
    lengths = np.random.default_rng(1).uniform(0.01, 100, (2, 5, 1))

    np.testing.assert_allclose(loss_of(views * lengths), loss_of(views), rtol=1e-9)


@pytest.mark.parametrize("parts", [2, 3, 6])
def test_parts_of_the_batch_add_up_to_the_whole_and_so_do_their_gradients(parts):
    views = tf.constant(projections(6))

    def whole_and_gradient(count):
        rows = 6 // count
        with tf.GradientTape() as tape:
            tape.watch(views)
            shares = [
                nt_xent(views[:, start : start + rows], views, tf.constant(start), 0.2)
                for start in range(0, 6, rows)
            ]
            loss = tf.add_n([share for share, _ in shares])
        accuracy = tf.add_n([share for _, share in shares])
        return loss.numpy(), accuracy.numpy(), tape.gradient(loss, views).numpy()

    for part, whole in zip(whole_and_gradient(parts), whole_and_gradient(1), strict=True):
        np.testing.assert_allclose(part, whole, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_the_formula():
    views = projections(3, width=2)
    with tf.GradientTape() as tape:
        tensor = tf.constant(views)
        tape.watch(tensor)
        loss, _ = nt_xent(tensor, tensor, tf.constant(0), 0.5)
    gradient = tape.gradient(loss, tensor).numpy()

    step = 1e-6
    for place in np.ndindex(views.shape):
        ends = []
        for sign in (1, -1):
            moved = views.copy()
            moved[place] += sign * step
            ends.append(nt_xent_in_plain_loops(moved, 0.5)[0])
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("temperature", [1e-3, 1e-2])
def test_sharp_temperatures_stay_finite(dtype, temperature):
    views = tf.constant(projections(5, dtype=dtype) * 100)
    with tf.GradientTape() as tape:
        tape.watch(views)
        loss, _ = nt_xent(views, views, tf.constant(0), temperature)

    assert np.isfinite(loss)
    assert np.all(np.isfinite(tape.gradient(loss, views)))


def test_projections_of_zero_have_a_finite_gradient():
    views = tf.zeros((2, 4, 3))
    with tf.GradientTape() as tape:
        tape.watch(views)
        loss, _ = nt_xent(views, views, tf.constant(0), 0.5)

    assert loss.numpy() == pytest.approx(math.log(7), rel=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, views)))


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    half = tf.cast(projections(64, width=32), dtype)

    loss, accuracy = nt_xent(half, half, tf.constant(0), 0.1)

    assert loss.dtype == accuracy.dtype == tf.float32
    wide, _ = nt_xent(tf.cast(half, tf.float64), tf.cast(half, tf.float64), tf.constant(0), 0.1)
    np.testing.assert_allclose(loss.numpy(), wide.numpy(), rtol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_graph_agrees_with_the_eager_result(compiled):
    views = tf.constant(projections(4, dtype=np.float32))
    function = tf.function(
        lambda views: nt_xent(views, views, tf.constant(0), 0.2), jit_compile=compiled
    )

    np.testing.assert_allclose(function(views), loss_of(views.numpy(), 0.2), rtol=1e-5)
