"""A long training is told of once, early, and one that goes on is not."""

import pytest

from twofold.pipeline.training.expected_time import ExpectedTime


@pytest.mark.parametrize(
    ("first", "step_seconds", "steps", "expected"),
    [
        # The first step compiles; ten seconds of the others decide.
        (0, 1.0, 1000, [1000 - 11]),
        (0, 20.0, 100, [20 * (100 - 2)]),
        (0, 1.0, 100, []),
        # From a checkpoint on.
        (500, 1.0, 2000, []),
    ],
)
def test_what_is_left_is_told_where_it_is_long(
    first: int, step_seconds: float, steps: int, expected: list[float]
) -> None:
    told: list[float] = []
    now = 0.0
    expecting = ExpectedTime(steps, told.append, clock=lambda: now)
    expecting(first)
    for step in range(first + 1, steps + 1):
        now += 60.0 if step == 1 else step_seconds
        expecting(step)
    assert told == pytest.approx(expected)


def test_a_training_that_is_rolled_back_to_its_first_step_is_judged_anew() -> None:
    told: list[float] = []
    now = 0.0
    expecting = ExpectedTime(1000, told.append, clock=lambda: now)
    for step in (0, 1, 2, 1, 2, 1):
        expecting(step)
        now += 3.0
    for step in range(2, 8):
        expecting(step)
        now += 3.0
    # Ten seconds from the last first step on are four steps of three.
    assert told == [3.0 * (1000 - 5)]
