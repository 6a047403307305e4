import time

import pytest

from twofold.components.training.training_curves import Rate


def test_a_rate_is_that_since_it_was_last_asked(monkeypatch):
    now = iter([10.0, 20.0, 22.0, 22.0, 30.0, 30.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    rate = Rate(batch_size=4)
    # A resumed training begins at a step of its own.
    rate.begin(100)

    assert rate.since(110) == pytest.approx(10 * 4 / 2)
    assert rate.since(112) == pytest.approx(2 * 4 / 8)
