"""What ``twofold show`` prints: every key below what it is for, and the same run when read back."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from twofold.components.settings import ChosenFrom, Range, Section, Share, Widths
from twofold.pipeline.config import RunConfig, load_yaml, override, to_commented_yaml, to_yaml
from twofold.pipeline.config.commented_yaml import limits, names_its_section
from twofold.pipeline.recipes import load_recipe, recipe_names

WIDTH = 100


class Example(Section):
    """An example of settings."""

    width: int = Field(3, ge=1, le=9, description="pixels")
    rate: float | None = Field(None, gt=0.0, lt=1.5, description="of learning; null: none")
    share: Share = Field(0.5, description="of the images")
    kind: Literal["round", "square"] = Field("round", description="form of the thing")
    on: bool = Field(True, description="whether it is there")
    layers: Widths = Field((1, 2), description="widths")
    scale: Range = Field((0.5, 2.0), description="of the side")
    title: str = Field("é: #1", description="what it is called " + "and so on " * 12)
    many: tuple[Literal["a", "b"], ...] = Field((), description="some of them")
    table: dict[str, tuple[str, ...]] = Field({"x": ("a=[1, 2]", "b")}, description="by name")


EXPECTED = """\
# pixels (1 to 9)
width: 3
# of learning; null: none (above 0, below 1.5)
rate: null
# of the images (0 to 1)
share: 0.5
# form of the thing (one of round, square)
kind: round
# whether it is there (true or false)
on: true
# widths (each at least 1)
layers: [1, 2]
# of the side (two numbers above 0, the lower first)
scale: [0.5, 2.0]
# what it is called and so on and so on and so on and so on and so on and so on and so on and so on
# and so on and so on and so on and so on
title: 'é: #1'
# some of them (each one of a, b)
many: []
# by name
table:
  x: ['a=[1, 2]', b]
"""


def test_each_key_stands_below_what_it_is_for_and_what_it_accepts() -> None:
    # YAML 1.1 takes a bare `on` for a truth value, so that its writer puts the key in quotes.
    assert to_commented_yaml(Example()) == EXPECTED.replace("\non:", "\n'on':")


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_the_same_after_a_trip_through_what_is_printed(
    name: str, tmp_path: Path
) -> None:
    config = load_recipe(name)
    text = to_commented_yaml(config)
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")

    assert load_yaml(tmp_path / "my.yaml") == config
    assert yaml.safe_load(text) == yaml.safe_load(to_yaml(config))
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert max(map(len, comments)) <= WIDTH
    assert len(comments) > 100


@settings(deadline=None, max_examples=40)
@given(name=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1))
def test_any_text_is_the_same_after_a_trip(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = RunConfig.model_validate({"data": {"source": "folder", "path": [name, "b"]}})
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(to_commented_yaml(config), encoding="utf-8")

    assert load_yaml(path) == config


def test_the_settings_of_the_chosen_source_have_their_descriptions() -> None:
    text = to_commented_yaml(override(RunConfig(), ["data.source=tfds", "data.tfds_name=mnist"]))

    above = text.splitlines()[text.splitlines().index("  tfds_name: mnist") - 1]
    assert above == "  # cifar10, name/config:1.0.0, or the folder of a prepared data set"


def _reached(kind: type[Section]) -> set[type[Section]]:
    """All sections that one may hold, at any depth."""
    found, waiting = set[type[Section]](), [kind]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            for field in current.model_fields.values():
                waiting += _sections(field.annotation, field.metadata)
    return found


def _sections(annotation: Any, metadata: Any = ()) -> Iterator[type[Section]]:
    chosen = [one.registry for one in metadata if isinstance(one, ChosenFrom)]
    if chosen:
        yield from chosen[0].classes.values()
        return
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _sections(part, getattr(part, "__metadata__", ()))


def test_every_setting_says_what_it_is_for() -> None:
    missing = [
        f"{section.__name__}.{key}"
        for section in sorted(_reached(RunConfig), key=lambda one: one.__name__)
        for key, field in section.model_fields.items()
        if not field.description and not names_its_section(field)
        # A section says itself what it is.
        if not isinstance(field.default, Section)
    ]

    assert not missing


def test_limits_are_found_however_a_type_is_written() -> None:
    class Forms(Section):
        inner: Annotated[int, Field(ge=2)] | None = None
        outer: int | None = Field(None, ge=2)
        text: str = ""

    fields = Forms.model_fields
    assert [limits(fields[name]) for name in fields] == ["at least 2", "at least 2", ""]
