from typing import Annotated, Literal

import pydantic
import pytest

from twofold.components.errors import SettingsError, TwofoldError
from twofold.components.settings import ChosenFrom, Registry, Section


class Shape(Section):
    name: str


SHAPES: Registry[Shape] = Registry("shape")


@SHAPES.register
class Circle(Shape):
    name: Literal["circle"] = "circle"
    radius: float = pydantic.Field(1.0, gt=0.0)


@SHAPES.register
class Square(Shape):
    name: Literal["square"] = "square"
    side: int = 2


class Drawing(Section):
    shape: Annotated[Shape, ChosenFrom(SHAPES)] = Circle()
    other: Annotated[Shape, ChosenFrom(SHAPES)] | None = None


def test_the_name_chooses_the_class():
    drawing = Drawing.model_validate({"shape": {"name": "square", "side": 3}})

    assert drawing == Drawing(shape=Square(side=3))


@pytest.mark.parametrize("mode", ["python", "json"])
def test_all_fields_of_the_chosen_class_are_written_and_read_back(mode):
    drawing = Drawing(shape=Square(side=5), other=Circle(radius=2.0))

    values = drawing.model_dump(mode=mode)

    assert values == {
        "shape": {"name": "square", "side": 5},
        "other": {"name": "circle", "radius": 2.0},
    }
    assert Drawing.model_validate(values) == drawing


def test_what_is_registered_later_can_be_chosen(monkeypatch):
    monkeypatch.setattr(SHAPES, "classes", dict(SHAPES.classes))

    @SHAPES.register
    class Star(Shape):
        name: Literal["star"] = "star"

    assert Drawing.model_validate({"shape": {"name": "star"}}).shape == Star()


@pytest.mark.parametrize(
    ("value", "kind", "place"),
    [
        ({"name": "blob"}, "choice_unknown", ("shape",)),
        ({"name": []}, "choice_unknown", ("shape",)),
        ({}, "choice_missing", ("shape",)),
        (3, "model_type", ("shape",)),
        ({"name": "circle", "radius": -1.0}, "greater_than", ("shape", "radius")),
        ({"name": "circle", "side": 3}, "extra_forbidden", ("shape", "side")),
    ],
)
def test_a_problem_is_told_with_its_place(value, kind, place):
    with pytest.raises(pydantic.ValidationError) as told:
        Drawing.model_validate({"shape": value})

    (problem,) = told.value.errors()
    assert (problem["type"], problem["loc"]) == (kind, place)


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(
        SettingsError, match=r"unknown shape 'blob': expected one of circle, square"
    ):
        SHAPES["blob"]


def test_a_name_is_registered_once():
    with pytest.raises(TwofoldError, match=r"'circle' is registered already, as .*Circle"):
        SHAPES.register(type("Disc", (Circle,), {"__module__": __name__}))
