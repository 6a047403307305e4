import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.strategies import strategy_of
from twofold.components.training.optimizers.schedules import build_schedule, scaled_rate

PEAK = 0.01
STEPS = (0, 1, 5, 9, 10, 11, 20, 30, 49, 50, 51, 1_000)


def formula(step, warmup_steps, end_step, final):
    """Linear to the peak, then half a cosine to the final rate."""
    if step < warmup_steps:
        return PEAK * step / warmup_steps
    if end_step is None:
        return PEAK
    share = min(1.0, (step - warmup_steps) / (end_step - warmup_steps))
    return final + (PEAK - final) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize("warmup_steps", [0, 10])
@pytest.mark.parametrize(("end_step", "final"), [(None, 0.0), (50, 0.0), (50, 0.002)])
def test_the_rate_follows_the_formula(warmup_steps, end_step, final):
    schedule = build_schedule(PEAK, warmup_steps=warmup_steps, end_step=end_step, final=final)
    for step in STEPS:
        expected = formula(step, warmup_steps, end_step, final)
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_a_warm_up_is_part_of_the_steps_to_the_end():
    schedule = build_schedule(PEAK, warmup_steps=10, end_step=50)

    assert float(schedule(0)) == 0.0
    assert float(schedule(10)) == pytest.approx(PEAK)
    # 20 of the 40 steps of the cosine.
    assert float(schedule(30)) == pytest.approx(PEAK / 2)
    # The last update of 50: (1 + cos(39 / 40 pi)) / 2.
    assert float(schedule(49)) == pytest.approx(PEAK * 0.0015413331, rel=1e-4)
    assert float(schedule(50)) == pytest.approx(0.0, abs=1e-9)


def test_the_final_rate_is_a_rate():
    schedule = build_schedule(PEAK, warmup_steps=10, end_step=50, final=0.004)

    assert float(schedule(0)) == 0.0
    assert float(schedule(10)) == pytest.approx(0.01)
    assert float(schedule(30)) == pytest.approx(0.007)
    assert float(schedule(50)) == pytest.approx(0.004)


def test_a_decay_past_the_end_of_training_ends_above_zero():
    # Recipe E: 60 epochs along a cosine of 500.
    schedule = build_schedule(1e-3, end_step=500)

    assert float(schedule(60)) == pytest.approx(1e-3 * (1 + math.cos(0.12 * math.pi)) / 2)


def test_a_held_rate_changes_with_the_epoch_alone():
    # Four steps an epoch, a cosine of four epochs: (1 + cos(pi / 4)) / 2 = 0.8535534 after one.
    schedule = build_schedule(PEAK, end_step=16, held_steps=4)

    rates = [float(schedule(step)) for step in range(17)]
    shares = [1.0] * 4 + [0.8535534] * 4 + [0.5] * 4 + [0.1464466] * 4 + [0.0]
    np.testing.assert_allclose(rates, PEAK * np.array(shares), rtol=1e-5, atol=1e-9)


def test_a_wave_rises_again_as_it_fell():
    # As PyTorch's CosineAnnealingLR, of which this is the closed form at every step.
    schedule = build_schedule(PEAK, warmup_steps=10, end_step=50, wave=True, final=0.002)
    for step in (10, 20, 49, 50, 51, 70, 89, 90, 91, 130, 200):
        expected = 0.002 + (PEAK - 0.002) * (1 + math.cos(math.pi * (step - 10) / 40)) / 2
        assert float(schedule(step)) == pytest.approx(expected, rel=1e-5)
    assert float(schedule(5)) == pytest.approx(PEAK / 2)
    held = build_schedule(PEAK, end_step=40, wave=True, held_steps=8)
    assert float(held(63)) == float(held(56)) == pytest.approx(float(held(24)))


def test_a_warm_up_is_never_held():
    schedule = build_schedule(PEAK, warmup_steps=6, end_step=16, held_steps=4)

    rates = [float(schedule(step)) for step in range(10)]
    # (1 + cos(2 / 10 pi)) / 2 = 0.9045085 from step 8, where the third epoch begins.
    shares = [*(step / 6 for step in range(6)), 1.0, 1.0, 0.9045085, 0.9045085]
    np.testing.assert_allclose(rates, PEAK * np.array(shares), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("replicas", [1, 2])
def test_the_scale_multiplies_the_rate_in_a_compiled_step(replicas):
    strategy = strategy_of(replicas)
    with strategy.scope():
        schedule = build_schedule(PEAK)
        variable = keras.Variable(0.0)
        optimizer = keras.optimizers.SGD(schedule)
        optimizer.build([variable])

    @tf.function
    def step():
        strategy.run(lambda: optimizer.apply([tf.constant(1.0 / replicas)], [variable]))

    step()
    schedule.scale.assign(0.5)
    step()
    np.testing.assert_allclose(variable.numpy(), -1.5 * PEAK, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"peak": 0.0}, "peak must be above 0"),
        ({"peak": 1.0, "warmup_steps": -1}, "warmup_steps must be at least 0, received -1"),
        ({"peak": 1.0, "end_step": 0}, "end_step must be above warmup_steps=0 or None, received 0"),
        (
            {"peak": 1.0, "warmup_steps": 5, "end_step": 5},
            "end_step must be above warmup_steps=5 or None, received 5",
        ),
        ({"peak": 1.0, "end_step": 5, "held_steps": 0}, "held_steps must be at least 1"),
        ({"peak": 1.0, "end_step": 5, "final": 2.0}, r"final must be from 0 to peak=1\.0"),
        ({"peak": 1.0, "final": 0.5}, r"final=0\.5 needs end_step"),
    ],
)
def test_impossible_schedules_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_schedule(**arguments)


@pytest.mark.parametrize(("rule", "expected"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_rate_is_scaled_with_the_batch(rule, expected):
    assert scaled_rate(0.1, 1024, rule=rule) == pytest.approx(expected)
    assert scaled_rate(0.1, 256, rule=rule) == 0.1


def test_an_unknown_scaling_lists_the_known_ones():
    with pytest.raises(ValueError, match="'cubic': expected one of none, linear, sqrt"):
        scaled_rate(0.1, 256, rule="cubic")  # type: ignore[arg-type]
