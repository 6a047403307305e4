"""Momentum networks, and the methods that have them."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import build_form, method_input
from twofold.components.losses.regression import byol
from twofold.components.methods.momentum import cosine_momentum, follow
from twofold.components.training.method import sample_views


def arrays(model):
    return [np.asarray(variable) for variable in model.trainable_variables]


def moved(form):
    """A method whose trained networks have moved away from the momentum networks."""
    method = build_form(form)
    for model in (method.encoder, method.projector):
        for variable in model.trainable_variables:
            variable.assign_add(tf.ones(variable.shape))
    return method


@pytest.mark.parametrize("form", ["byol", "moco"])
def test_the_networks_start_alike(form):
    method = build_form(form)
    for one, other in (
        (method.encoder, method.momentum_encoder),
        (method.projector, method.momentum_projector),
    ):
        for left, right in zip(arrays(one), arrays(other), strict=True):
            np.testing.assert_array_equal(left, right)


def test_following_is_a_weighted_mean():
    method = moved("byol")
    slow, fast = arrays(method.momentum_encoder), arrays(method.encoder)
    follow(method.momentum_encoder, method.encoder, 0.75)
    for one, before, leader in zip(arrays(method.momentum_encoder), slow, fast, strict=True):
        np.testing.assert_allclose(one, 0.75 * before + 0.25 * leader, rtol=1e-6)
    for one, before in zip(arrays(method.encoder), fast, strict=True):
        np.testing.assert_array_equal(one, before)


@pytest.mark.parametrize("step", [0, 1, 5, 9, 10])
def test_the_momentum_rises_along_half_a_cosine(step):
    expected = 1 - (1 - 0.9) * (math.cos(math.pi * step / 10) + 1) / 2
    received = cosine_momentum(0.9, tf.constant(step, tf.int64), 10)
    assert float(received) == pytest.approx(expected, rel=1e-6)


def test_the_momentum_is_the_base_at_first_and_1_at_last():
    assert float(cosine_momentum(0.9, tf.constant(0, tf.int64), 10)) == pytest.approx(0.9)
    assert float(cosine_momentum(0.9, tf.constant(10, tf.int64), 10)) == 1.0


@pytest.mark.parametrize(
    ("form", "step", "momentum"), [("byol", 0, 0.9), ("byol", 5, 0.95), ("moco", 5, 0.9)]
)
def test_an_update_moves_both_momentum_networks(form, step, momentum):
    method, batch = moved(form), method_input(step)
    pairs = (
        (method.momentum_encoder, method.encoder),
        (method.momentum_projector, method.projector),
    )
    before = [arrays(slow) for slow, _ in pairs]
    method.after_update([method(batch)], batch.step)
    for (slow, fast), old in zip(pairs, before, strict=True):
        for one, start, leader in zip(arrays(slow), old, arrays(fast), strict=True):
            expected = momentum * start + (1 - momentum) * leader
            np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-7)


def test_byol_adds_up_both_directions_and_sends_no_gradient_to_the_targets():
    method, fresh, batch = moved("byol"), moved("byol"), method_input()
    targets = [
        variable.value
        for model in (method.momentum_encoder, method.momentum_projector)
        for variable in model.trainable_variables
    ]
    with tf.GradientTape() as tape:
        tape.watch(targets)
        loss = method(batch).loss
    assert all(gradient is None for gradient in tape.gradient(loss, targets))

    views = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    predicted, target = [], []
    for view in views:
        projection = fresh.projector(fresh.encoder(view, training=True), training=True)
        predicted.append(fresh.predictor(projection, training=True))
        slow = fresh.momentum_encoder(view, training=True)
        target.append(fresh.momentum_projector(slow, training=True))
    expected = byol(predicted[0], target[1]) + byol(predicted[1], target[0])
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
