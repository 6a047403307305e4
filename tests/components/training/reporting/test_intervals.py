"""Intervals: what is reported of the steps since the last report."""

import pytest

from twofold.components.training.reporting.intervals import Interval, IntervalClock, duration


class Time:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def clock(time: Time) -> IntervalClock:
    # Ten steps an epoch, of which the last sees 4 images and each other one 8.
    def images_after(steps: int) -> int:
        return steps // 10 * 76 + steps % 10 * 8

    return IntervalClock("pretrain", 40, 10, images_after, monotonic=time, now=lambda: 1e9 + time())


def end(clock: IntervalClock, step: int, **metrics: float) -> Interval:
    return clock.end(step, {"loss": 2.5, "learning_rate": 0.1, **metrics})


def test_an_interval_knows_its_epoch_its_images_and_its_rate(
    clock: IntervalClock, time: Time
) -> None:
    clock.begin(0)
    time.seconds += 4
    assert end(clock, 5).images_per_second == 40 / 4
    time.seconds += 2
    tenth = end(clock, 10)
    assert (tenth.epoch, tenth.epochs, tenth.images) == (1, 4, 76)
    assert tenth.images_per_second == 36 / 2
    assert tenth.ends_epoch
    time.seconds += 1
    next_epoch = end(clock, 11)
    assert (next_epoch.epoch, next_epoch.images) == (2, 84)
    assert not next_epoch.ends_epoch


def test_images_before_training_went_on_are_in_no_rate(clock: IntervalClock, time: Time) -> None:
    clock.begin(20)
    time.seconds += 5
    resumed = end(clock, 25)
    assert resumed.images == 2 * 76 + 5 * 8
    assert resumed.images_per_second == 40 / 5


def test_the_time_left_leaves_out_the_first_interval_which_compiles(
    clock: IntervalClock, time: Time
) -> None:
    clock.begin(0)
    time.seconds += 50
    assert end(clock, 5).seconds_left == 35 * 10, "there is nothing else yet to judge by"
    time.seconds += 10
    assert end(clock, 10).seconds_left == 30 * 2
    time.seconds += 20
    assert end(clock, 15).seconds_left == 25 * 3, "the mean of the last two"


def test_a_record_is_flat_and_holds_all_metrics(clock: IntervalClock) -> None:
    assert end(clock, 10, **{"probe/accuracy": 0.5}).record() == {
        "step": 10,
        "epoch": 1,
        "images": 76,
        "loss": 2.5,
        "probe/accuracy": 0.5,
        "learning_rate": 0.1,
        "images_per_second": pytest.approx(76 / 1e-9),
        "wall_time": 1e9 + 100,
    }


def test_a_line_says_how_far_it_is_what_came_out_and_how_long_it_takes(
    clock: IntervalClock, time: Time
) -> None:
    clock.begin(0)
    time.seconds += 190
    interval = end(clock, 10, **{"feature_std": 0.0312345})
    line = (
        "pretrain: step 10 of 40, epoch 1 of 4, loss 2.5, learning rate 0.1, 0 images/s, "
        "0:09:30 left"
    )
    assert interval.line() == line
    assert interval.full_line() == f"{line}; feature_std 0.03123"


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.4, "0:00:00"), (61, "0:01:01"), (90_061, "25:01:01")]
)
def test_a_time_is_in_hours_minutes_and_seconds(seconds: float, written: str) -> None:
    assert duration(seconds) == written
