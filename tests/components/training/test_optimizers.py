import math

import keras
import numpy as np
import pytest

from components.training.optimizers import OPTIMIZERS, build_adam

PEAK = 0.01


def rate_at(optimizer, step):
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


def formula(step, warmup_steps, decay_steps):
    """Linear to the peak, then half a cosine to 0."""
    if step < warmup_steps:
        return PEAK * step / warmup_steps
    if decay_steps is None:
        return PEAK
    share = min(1.0, (step - warmup_steps) / decay_steps)
    return PEAK * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("warmup_steps", [0, 10])
@pytest.mark.parametrize("decay_steps", [None, 40])
def test_the_rate_follows_the_formula(warmup_steps, decay_steps):
    optimizer = build_adam(learning_rate=PEAK, warmup_steps=warmup_steps, decay_steps=decay_steps)

    for step in (0, 1, 5, 9, 10, 11, 20, 30, 49, 50, 51, 1_000):
        expected = formula(step, warmup_steps, decay_steps)
        assert rate_at(optimizer, step) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_warm_up_and_decay_meet_at_the_peak():
    optimizer = build_adam(learning_rate=PEAK, warmup_steps=10, decay_steps=40)

    assert rate_at(optimizer, 0) == 0.0
    assert rate_at(optimizer, 10) == pytest.approx(PEAK)
    assert rate_at(optimizer, 30) == pytest.approx(PEAK / 2)
    assert rate_at(optimizer, 50) == pytest.approx(0.0, abs=1e-9)


def test_a_decay_past_the_end_of_training_ends_above_zero():
    # Recipe E: 60 epochs along a cosine of 500.
    optimizer = build_adam(learning_rate=1e-3, warmup_steps=0, decay_steps=500)

    assert rate_at(optimizer, 60) == pytest.approx(1e-3 * (1 + math.cos(0.12 * math.pi)) / 2)


def test_steps_are_adams_in_the_papers_second_form():
    optimizer = build_adam(learning_rate=PEAK, warmup_steps=0, decay_steps=None)
    variable = keras.Variable(np.zeros(2, np.float32))
    gradients = [np.array([3e-8, -2.0], np.float32), np.array([5e-8, 1.0], np.float32)]

    mean, square, expected = np.zeros(2), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(gradients, start=1):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient.astype(np.float64) ** 2
        rate = PEAK * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        expected -= rate * mean / (np.sqrt(square) + 1e-8)

    # A gradient near epsilon tells where in the formula epsilon stands, and how large it is.
    np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4)


def test_adam_is_known_by_its_name():
    assert OPTIMIZERS["adam"] is build_adam
