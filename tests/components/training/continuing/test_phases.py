"""What becomes of the learning rate's schedule when a training is continued."""

from typing import Any

import pytest

from twofold.components.errors import SettingsError
from twofold.components.training.continuing.phases import Phase, Piece, plan_pieces
from twofold.components.training.settings import TrainingSettings

FIRST = Piece("begun", 0, 10)


def plan(*phases: Phase, **settings: Any) -> list[Piece]:
    """Plans two epochs of five steps and what follows."""
    training = TrainingSettings(**({"epochs": phases[-1].epochs} | settings))
    return plan_pieces(training, [Phase(0, 2), *phases], steps_per_epoch=5)


def test_a_training_that_was_not_continued_has_one_piece() -> None:
    assert plan_pieces(TrainingSettings(epochs=2), [Phase(0, 2)], 5) == [FIRST]


@pytest.mark.parametrize(
    ("chosen", "piece"),
    [
        (("stretched", None), Piece("stretched", 10, 20)),
        (("restarted", None), Piece("restarted", 10, 20)),
        (("restarted", 0.2), Piece("restarted", 10, 20, 0.2)),
        (("constant", 0.2), Piece("constant", 10, None, 0.2)),
    ],
)
def test_an_ended_cosine_goes_on_as_was_chosen(chosen: Any, piece: Piece) -> None:
    assert plan(Phase(10, 4, *chosen)) == [FIRST, piece]


def test_an_ended_cosine_needs_a_choice() -> None:
    with pytest.raises(SettingsError) as refusal:
        plan(Phase(10, 4))
    message = str(refusal.value)
    for words in ("ended at step 10", "training.epochs=4", "stretched", "restarted", "constant"):
        assert words in message
    assert "\n" not in message


def test_a_rate_of_zero_is_not_held() -> None:
    with pytest.raises(SettingsError, match=r"hold the learning rate at 0.*continue_learning_rate"):
        plan(Phase(10, 4, "constant"))
    held = plan(Phase(10, 4, "constant"), final_learning_rate=1e-4)
    assert held == [FIRST, Piece("constant", 10, None)]


def test_a_cosine_that_has_not_ended_is_stretched() -> None:
    assert plan(Phase(6, 4)) == [FIRST, Piece("stretched", 6, 20)]


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"schedule": "constant"}, Piece("begun", 0, None)),
        ({"schedule": "cosine_wave"}, FIRST),
        # It ends later, whatever is trained.
        ({"schedule_epochs": 8}, Piece("begun", 0, 40)),
    ],
)
def test_a_schedule_that_does_not_depend_on_the_epochs_goes_on(
    settings: dict[str, Any], first: Piece
) -> None:
    assert plan(Phase(10, 4), **settings) == [first]


def test_other_settings_change_no_rate() -> None:
    assert plan(Phase(6, 2)) == [FIRST]
    # A choice that is no longer given stays made.
    continued = Phase(10, 4, "restarted")
    assert plan(continued, Phase(14, 4)) == [FIRST, Piece("restarted", 10, 20)]
    assert plan(continued, Phase(20, 6, "restarted"))[1:] == [
        Piece("restarted", 10, 20),
        Piece("restarted", 20, 30),
    ]
