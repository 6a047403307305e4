"""The learning rate of a configuration at given steps, by hand."""

from collections.abc import Sequence

import pytest

from twofold.components.training.continuing.phases import Phase
from twofold.components.training.loop import LoopSettings
from twofold.pipeline.config import RunConfig, TrainingSettings, override
from twofold.pipeline.models.build import build_training_schedule
from twofold.pipeline.recipes import load_recipe

PER_EPOCH = 5


def rates(
    training: TrainingSettings,
    *steps: int,
    per_epoch: int = PER_EPOCH,
    phases: Sequence[Phase] = (),
) -> list[float]:
    settings = LoopSettings(
        steps=training.epochs * per_epoch,
        steps_per_epoch=per_epoch,
        log_every=1,
        checkpoint_every=1,
    )
    schedule = build_training_schedule(training, settings, phases)
    return [float(schedule(step)) for step in steps]


def test_ten_of_twenty_epochs_of_warm_up_end_at_zero() -> None:
    training = TrainingSettings(epochs=20, learning_rate=0.1, warmup_epochs=10)

    # Start, half of the warm-up, its end, half of the cosine, its last update and its end: the
    # last update of 50 has (1 + cos(49 / 50 pi)) / 2 = 0.00098664 of the peak.
    expected = [0.0, 0.05, 0.1, 0.05, 0.1 * 0.00098664, 0.0]
    assert rates(training, 0, 25, 50, 75, 99, 100) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_without_a_warm_up_the_cosine_takes_all_of_training() -> None:
    training = TrainingSettings(epochs=20, learning_rate=0.1)

    # (1 + cos(99 / 100 pi)) / 2 = 0.00024672.
    expected = [0.1, 0.05, 0.1 * 0.00024672, 0.0]
    assert rates(training, 0, 50, 99, 100) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_the_final_rate_is_scaled_with_the_batch_like_the_largest() -> None:
    training = TrainingSettings(
        epochs=20,
        learning_rate=0.1,
        final_learning_rate=0.02,
        rate_scaling="linear",
        batch_size=512,
        warmup_epochs=10,
    )

    assert rates(training, 0, 50, 75, 100) == pytest.approx([0.0, 0.2, 0.12, 0.04])


def test_a_warm_up_of_all_epochs_ends_at_the_largest_rate() -> None:
    training = TrainingSettings(epochs=20, learning_rate=0.1, warmup_epochs=20)

    assert rates(training, 0, 50, 100) == pytest.approx([0.0, 0.05, 0.1])


def test_schedule_epochs_count_the_warm_up() -> None:
    training = TrainingSettings(epochs=20, learning_rate=0.1, warmup_epochs=10, schedule_epochs=30)

    # At the end of training half of the 20 epochs of cosine are over.
    assert rates(training, 50, 100, 150) == pytest.approx([0.1, 0.05, 0.0], abs=1e-8)


def test_a_rate_of_each_epoch_is_that_of_its_first_step() -> None:
    training = TrainingSettings(epochs=4, learning_rate=0.1, schedule_every="epoch")

    # (1 + cos(pi / 4)) / 2 and 1 minus that.
    expected = [0.1, 0.1, 0.08535534, 0.08535534, 0.05, 0.01464466, 0.01464466]
    assert rates(training, 0, 4, 5, 9, 10, 15, 19) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("recipe", "last"),
    [
        # PyTorch's CosineAnnealingLR steps after each epoch: at the last of 60 of 500 epochs 59
        # steps were made, (1 + cos(59 / 500 pi)) / 2; at the last of 10 of 100, nine.
        ("dsprites_simclr", 0.00096603),
        ("dsprites_supervised", 0.00098015),
    ],
)
def test_recipe_e_follows_its_long_cosine_epoch_by_epoch(recipe: str, last: float) -> None:
    training = load_recipe(recipe).training
    final_epoch = (training.epochs - 1) * 16

    found = rates(training, 0, 15, final_epoch, final_epoch + 15, per_epoch=16)
    assert found == pytest.approx([0.001, 0.001, last, last], rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("training.learning_rate=0.1", "training.final_learning_rate=0.2"),
            r"training\.final_learning_rate must be at most training\.learning_rate=0\.1, "
            r"received 0\.2",
        ),
        (
            ("training.warmup_epochs=5", "training.schedule_epochs=5"),
            r"training\.schedule_epochs=5 counts the warm-up: expected more than "
            r"training\.warmup_epochs=5",
        ),
    ],
)
def test_what_no_schedule_can_be_is_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        override(RunConfig(), settings)


def test_a_stretched_cosine_is_that_of_the_longer_training_from_there_on() -> None:
    longer = TrainingSettings(epochs=4, learning_rate=0.1, warmup_epochs=1)
    phases = (Phase(0, 2), Phase(10, 4, "stretched"))
    steps = range(10, 20)
    assert rates(longer, *steps, phases=phases) == rates(longer, *steps)
    shorter = longer.model_copy(update={"epochs": 2})
    assert rates(longer, *range(10), phases=phases) == rates(shorter, *range(10))


def test_a_restarted_cosine_falls_from_the_largest_rate_to_the_new_end() -> None:
    training = TrainingSettings(
        epochs=4, learning_rate=0.1, warmup_epochs=1, final_learning_rate=0.02
    )
    phases = (Phase(0, 2), Phase(10, 4, "restarted"))
    # No warm-up; half way, (0.1 + 0.02) / 2.
    assert rates(training, 10, 15, 20, phases=phases) == pytest.approx([0.1, 0.06, 0.02])
    other = (Phase(0, 2), Phase(10, 4, "restarted", 0.5))
    assert rates(training, 10, 15, 20, phases=other) == pytest.approx([0.5, 0.26, 0.02])
    # One lower than the end of the cosine before is held.
    low = (Phase(0, 2), Phase(10, 4, "restarted", 0.01))
    assert rates(training, 10, 15, 20, phases=low) == pytest.approx([0.01, 0.01, 0.01])


def test_a_constant_rate_is_the_one_that_was_reached_or_given() -> None:
    training = TrainingSettings(epochs=4, learning_rate=0.1)
    # Begun with four epochs, half of the cosine is over after two.
    phases = (Phase(0, 4), Phase(10, 5, "constant"))
    assert rates(training, 9, 10, 24, phases=phases)[1:] == pytest.approx([0.05, 0.05])
    scaled = TrainingSettings(epochs=4, learning_rate=0.1, rate_scaling="linear", batch_size=512)
    given = (Phase(0, 2), Phase(10, 4, "constant", 0.03))
    assert rates(scaled, 10, 19, phases=given) == pytest.approx([0.06, 0.06])


def test_a_second_continuation_goes_on_from_the_first() -> None:
    training = TrainingSettings(epochs=6, learning_rate=0.1)
    phases = (Phase(0, 2), Phase(10, 4, "restarted"), Phase(20, 6, "restarted"))
    assert rates(training, 0, 5, 10, 15, 20, 25, phases=phases) == pytest.approx([0.1, 0.05] * 3)
