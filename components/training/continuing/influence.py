"""Influence of training settings: which of them change the weights, and which may change midway.

Each setting of a training declares its influence once, where it is defined, by its type:
``replicas: ChangesRounding[int] = Field(...)``. A section may declare it for all its settings.
Settings of other things, which declare none, change the weights.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

from pydantic.fields import FieldInfo

from twofold.components.settings import Section


class Influence(enum.Enum):
    """What another value of a setting makes of a training.

    Attributes:
        WEIGHTS: other weights from the first step on: another training.
        COURSE: the same until it is changed, and another course from there on.
        ROUNDING: the same but for the last digits.
        NOTHING: the same weights, bit for bit.

    """

    WEIGHTS = "weights"
    COURSE = "course"
    ROUNDING = "rounding"
    NOTHING = "nothing"


# What a training goes on with, whatever it was begun with.
FREE = frozenset(Influence) - {Influence.WEIGHTS}
# What changes no more than the last digits of a result.
UNSEEN = frozenset({Influence.ROUNDING, Influence.NOTHING})

T = TypeVar("T")
ChangesWeights = Annotated[T, Influence.WEIGHTS]
ChangesCourse = Annotated[T, Influence.COURSE]
ChangesRounding = Annotated[T, Influence.ROUNDING]
ChangesNothing = Annotated[T, Influence.NOTHING]


@dataclasses.dataclass(frozen=True)
class InfluenceWhere:
    """An influence that depends on other settings of the same section.

    Attributes:
        holds: of the section, whether its settings are such.
        met: the influence where they are.
        unmet: the influence where they are not.

    """

    holds: Callable[[Any], bool]
    met: Influence
    unmet: Influence


def declared_influence(field: FieldInfo) -> Influence | InfluenceWhere | None:
    """Returns what a setting's definition says of its influence; None where it says nothing."""
    kinds = (Influence, InfluenceWhere)
    return next((one for one in field.metadata if isinstance(one, kinds)), None)


def select(section: Section, influences: Collection[Influence]) -> dict[str, Any]:
    """Returns the settings of a section that have one of some influences, as plain JSON values.

    What a setting within a section declares comes before what is declared of the section.

    Args:
        section: at any depth of a configuration.
        influences: which settings to return.

    """
    return _select(section, influences, Influence.WEIGHTS)


def _select(
    section: Section, influences: Collection[Influence], usual: Influence
) -> dict[str, Any]:
    plain = section.model_dump(mode="json")
    found = {}
    for name, field in type(section).model_fields.items():
        influence = declared_influence(field) or usual
        if isinstance(influence, InfluenceWhere):
            influence = influence.met if influence.holds(section) else influence.unmet
        value = getattr(section, name)
        if isinstance(value, Section) and isinstance(plain[name], dict):
            inner = _select(value, influences, influence)
            # What serialises to more than its fields is taken as a whole.
            if plain[name].keys() - type(value).model_fields.keys():
                inner = plain[name] if influence in influences else {}
            if inner or (influence in influences and not plain[name]):
                found[name] = inner
        elif influence in influences:
            found[name] = plain[name]
    return found


def fill(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested settings with those given that are missing in sections that are there."""
    filled = dict(values)
    for name, value in given.items():
        if not isinstance(value, Mapping):
            filled.setdefault(name, value)
        elif isinstance(filled.get(name), Mapping):
            filled[name] = fill(filled[name], value)
    return filled
