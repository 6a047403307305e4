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
