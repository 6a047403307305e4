import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.losses.regression import byol, simsiam


def rows(images, seed, width=5):
    return np.random.default_rng(seed).normal(size=(images, width))


def cosines(predictions, targets):
    return [
        prediction @ target / (np.linalg.norm(prediction) * np.linalg.norm(target))
        for prediction, target in zip(predictions, targets, strict=True)
    ]


@given(images=st.integers(1, 9), seed=st.integers(0, 1_000))
def test_equal_the_formulas_in_plain_loops(images, seed):
    predictions, targets = rows(images, seed), rows(images, seed + 1)
    tensors = tf.constant(predictions), tf.constant(targets)

    mean = np.mean(cosines(predictions, targets))

    assert byol(*tensors).numpy() == pytest.approx(2 - 2 * mean, rel=1e-9)
    assert simsiam(*tensors).numpy() == pytest.approx(-mean, rel=1e-9)


def test_byol_is_the_squared_distance_on_the_sphere():
    predictions, targets = rows(6, 0), rows(6, 1)

    loss = byol(tf.constant(predictions), tf.constant(targets)).numpy()

    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (predictions, targets)]
    assert loss == pytest.approx(np.mean(np.sum((unit[0] - unit[1]) ** 2, axis=1)), rel=1e-12)


@pytest.mark.parametrize(
    ("angle", "expected_byol", "expected_simsiam"),
    [(0, 0, -1), (math.pi / 3, 1, -0.5), (math.pi / 2, 2, 0), (math.pi, 4, 1)],
)
def test_an_angle_has_a_closed_form_at_any_length(angle, expected_byol, expected_simsiam):
    prediction = tf.constant([[3.0, 0.0]], tf.float64)
    target = tf.constant([[0.2 * math.cos(angle), 0.2 * math.sin(angle)]], tf.float64)

    assert byol(prediction, target).numpy() == pytest.approx(expected_byol, abs=1e-12)
    assert simsiam(prediction, target).numpy() == pytest.approx(expected_simsiam, abs=1e-12)


@pytest.mark.parametrize("loss", [byol, simsiam])
def test_targets_get_no_gradient(loss):
    tensors = [tf.constant(rows(4, 0)), tf.constant(rows(4, 1))]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        share = loss(*tensors)

    predictions, targets = tape.gradient(share, tensors)
    assert np.any(predictions)
    assert targets is None
