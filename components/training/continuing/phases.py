"""Phases of a training that was continued: by what learning rate it goes from which step on."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Literal, Protocol

from twofold.components.errors import SettingsError

Continuation = Literal["stretched", "restarted", "constant"]


class RateSettings(Protocol):
    """What the settings of a training say of its learning rate; see ``TrainingSettings``."""

    @property
    def schedule(self) -> Literal["cosine", "cosine_wave", "constant"]:
        """What the rate does after the warm-up."""

    @property
    def schedule_epochs(self) -> float | None:
        """Epochs to the end of the cosine; None for those of the training."""

    @property
    def final_learning_rate(self) -> float:
        """The rate at the end of the cosine."""


@dataclasses.dataclass(frozen=True)
class Phase:
    """Settings that a training goes by from one step to the next phase.

    Attributes:
        step: updates made before it.
        epochs: of the whole training, as it is meant from there on.
        schedule: what becomes of the learning rate; None where nothing was chosen.
        learning_rate: that it goes on with; None where nothing was chosen.

    """

    step: int
    epochs: int
    schedule: Continuation | None = None
    learning_rate: float | None = None


@dataclasses.dataclass(frozen=True)
class Piece:
    """A part of the learning rate's schedule.

    Attributes:
        kind: "begun": of the settings that training began with; or how it was continued.
        start: the first step that it counts for, updates made before it.
        end: the step that ends the cosine; None for a rate without an end.
        learning_rate: that a restart begins at, or that is held, before it is scaled to the batch;
            None for that of the settings, or the one that was reached.

    """

    kind: Literal["begun", "stretched", "restarted", "constant"]
    start: int
    end: int | None
    learning_rate: float | None = None


def plan_pieces(
    training: RateSettings, phases: Sequence[Phase], steps_per_epoch: int
) -> list[Piece]:
    """Plans the learning rate of a training by its phases.

    A phase that changes no epochs and chooses nothing goes on by the piece before it, and so does
    one whose schedule does not depend on the epochs. A cosine that has not ended by then is
    stretched to the new end where nothing was chosen.

    Args:
        training: the settings.
        phases: the first one begins at step 0.
        steps_per_epoch: updates an epoch.

    Returns:
        The pieces by their first steps.

    Raises:
        SettingsError: if a cosine has ended and nothing was chosen, or the rate to hold is 0.

    """
    first = phases[0]
    end = round((training.schedule_epochs or first.epochs) * steps_per_epoch)
    pieces = [Piece("begun", 0, None if training.schedule == "constant" else end)]
    for before, phase in itertools.pairwise(phases):
        same = dataclasses.replace(before, step=phase.step) == phase
        if training.schedule == "constant" or same:
            continue
        last = pieces[-1]
        ended = last.end is not None and phase.step >= last.end
        ended = ended and not (last.kind == "begun" and training.schedule == "cosine_wave")
        kind = phase.schedule
        if kind is None:
            if phase.epochs == before.epochs:
                continue
            if ended:
                raise SettingsError(
                    f"the learning rate's cosine ended at step {last.end:,}, and "
                    f"training.epochs={phase.epochs} asks for more: expected "
                    f"training.continue_schedule=stretched (to the new end), restarted (from "
                    f"training.learning_rate) or constant"
                )
            fixed = training.schedule_epochs is not None or training.schedule == "cosine_wave"
            if last.end is None or (last.kind == "begun" and fixed):
                continue
            kind = "stretched"
        rate = phase.learning_rate
        if kind == "constant" and rate is None and ended and training.final_learning_rate == 0:
            raise SettingsError(
                "training.continue_schedule=constant would hold the learning rate at 0, where the "
                "cosine ended: expected training.continue_learning_rate, too, or stretched or "
                "restarted"
            )
        until = None if kind == "constant" else phase.epochs * steps_per_epoch
        pieces.append(Piece(kind, phase.step, until, rate))
    return pieces
