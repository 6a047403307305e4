"""Each setting of a training says what it changes, once, where it is defined."""

import typing
from collections.abc import Iterator
from typing import Annotated, Any

import pydantic
import pytest

from twofold.components.settings import Section
from twofold.components.training.continuing.influence import (
    UNSEEN,
    ChangesCourse,
    ChangesNothing,
    ChangesRounding,
    ChangesWeights,
    Influence,
    InfluenceWhere,
    declared_influence,
    fill,
    select,
)
from twofold.components.training.settings import EmaSettings, TrainingSettings


def _undeclared(section: type[Section], path: str, declared: bool) -> Iterator[str]:
    for name, field in section.model_fields.items():
        here = f"{path}.{name}"
        own = declared or declared_influence(field) is not None
        sections = list(_sections_in(field.annotation))
        for one in sections:
            yield from _undeclared(one, here, own)
        if not sections and not own:
            yield here


def _sections_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _sections_in(part)


def test_every_setting_of_a_training_says_what_it_changes() -> None:
    undeclared = list(_undeclared(TrainingSettings, "training", declared=False))
    assert not undeclared, (
        f"declare whether {undeclared} change the weights, the course, rounding or nothing: "
        f"components/training/continuing/influence.py has the types"
    )


class _Rule(Section):
    metric: str = "loss"
    patience: ChangesCourse[int] = 3


class _Settings(Section):
    rate: ChangesWeights[float] = 0.1
    rule: ChangesWeights[_Rule | None] = _Rule()
    devices: ChangesRounding[int] = 1
    told_every: ChangesNothing[int] = 5
    looked_at: Annotated[
        int,
        InfluenceWhere(lambda one: one.rule is not None, Influence.COURSE, Influence.NOTHING),
    ] = 7
    average: ChangesWeights[Annotated[EmaSettings, pydantic.Field()] | None] = None


@pytest.mark.parametrize(
    ("influence", "settings"),
    [
        (Influence.WEIGHTS, {"rate": 0.1, "rule": {"metric": "loss"}, "average": None}),
        (Influence.COURSE, {"rule": {"patience": 3}, "looked_at": 7}),
        (Influence.ROUNDING, {"devices": 1}),
        (Influence.NOTHING, {"told_every": 5}),
    ],
)
def test_settings_are_told_apart_within_sections_too(
    influence: Influence, settings: dict[str, Any]
) -> None:
    assert select(_Settings(), {influence}) == settings


def test_an_influence_may_depend_on_what_else_is_set() -> None:
    without = _Settings(rule=None)
    assert select(without, {Influence.NOTHING}) == {"told_every": 5, "looked_at": 7}
    assert select(without, {Influence.COURSE}) == {}
    assert select(without, {Influence.WEIGHTS}) == {"rate": 0.1, "rule": None, "average": None}


def test_intervals_matter_where_alarms_act_by_them() -> None:
    names = ("log_every", "checkpoint_minutes")

    def nothing(**settings: Any) -> list[str]:
        found = select(TrainingSettings.model_validate(settings), {Influence.NOTHING})
        return [name for name in names if name in found]

    assert nothing() == ["log_every", "checkpoint_minutes"]
    assert nothing(alarms={"loss_spike": "stop"}) == ["checkpoint_minutes"]
    assert nothing(alarms={"collapse": "rollback"}) == []
    assert nothing(on_divergence="rollback") == []


def test_what_declares_nothing_changes_the_weights() -> None:
    class Undeclared(Section):
        depth: int = 3

    assert select(Undeclared(), {Influence.WEIGHTS}) == {"depth": 3}
    assert select(Undeclared(), UNSEEN) == {}


def test_recorded_settings_are_filled_in_sections_that_are_there() -> None:
    recorded = {"rate": 0.2, "rule": {"metric": "accuracy"}}
    given = {"told_every": 1, "rule": {"patience": 9}, "other": {"x": 1}}
    assert fill(recorded, given) == {
        "rate": 0.2,
        "rule": {"metric": "accuracy", "patience": 9},
        "told_every": 1,
    }
    assert fill({"rule": None, "told_every": 2}, given) == {"rule": None, "told_every": 2}
