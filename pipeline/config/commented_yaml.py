"""Commented YAML of a configuration: each key under its description and what it accepts."""

from __future__ import annotations

import sys
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import annotated_types
import yaml
from pydantic.fields import FieldInfo

from twofold.components.settings import ChosenFrom, Limits, Section
from twofold.pipeline.config.data import DataConfig
from twofold.pipeline.config.parse import Dumper

_WIDTH = 100
_BOUNDS = (
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Le, "le", "at most"),
    (annotated_types.Lt, "lt", "below"),
)


def to_commented_yaml(section: Section) -> str:
    """Writes every key in the order of its definition, below what it is for.

    ``load_yaml`` reads the same configuration from it as from ``to_yaml``.
    """
    return "\n".join(_lines(section, section.model_dump(mode="json"), "")) + "\n"


def _lines(section: Section, values: dict[str, Any], indent: str) -> Iterator[str]:
    fields = _fields_of(section)
    for key, value in values.items():
        inner = getattr(section, key, None)
        yield from _comment(_describe(section, fields[key]), indent)
        if isinstance(inner, Section) and isinstance(value, dict):
            yield f"{indent}{key}:"
            yield from _lines(inner, value, indent + "  ")
        else:
            yield from (indent + line for line in _dump(key, value).splitlines())


def _dump(key: str, value: Any) -> str:
    # Lists on one line; a mapping of one plain value would otherwise be put in braces.
    flow = None if isinstance(value, list | dict) else False
    text: str = yaml.dump(
        {key: value},
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=sys.maxsize,
    )
    return text


def _comment(text: str, indent: str) -> list[str]:
    start = f"{indent}# "
    return textwrap.wrap(text, _WIDTH, initial_indent=start, subsequent_indent=start)


def _fields_of(section: Section) -> dict[str, FieldInfo]:
    """Returns the definition of each key that a section writes."""
    fields = dict(type(section).model_fields)
    if isinstance(section, DataConfig):
        # Its source's settings are keys like the others.
        fields = {**type(section.source).model_fields, **fields}
    return fields


def _describe(section: Section, field: FieldInfo) -> str:
    """Describes a key: what it is for, in which unit, and what it accepts."""
    if names_its_section(field):
        return _summary(type(section))
    text, accepted = field.description or "", limits(field)
    return f"{text} ({accepted})" if accepted else text


def names_its_section(field: FieldInfo) -> bool:
    """Tells whether a field only says which of several sections it is in."""
    annotation = field.annotation
    return typing.get_origin(annotation) is typing.Literal and len(typing.get_args(annotation)) == 1


def _summary(kind: type[Section]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]


def limits(field: FieldInfo) -> str:
    """Says in words what a field accepts, by its type and constraints; empty where it is any."""
    return _limits(field.annotation, field.metadata)


def _limits(annotation: Any, metadata: list[Any]) -> str:
    said = next((one.text for one in metadata if isinstance(one, Limits)), None)
    if said is not None:
        return said
    registry = next((one.registry for one in metadata if isinstance(one, ChosenFrom)), None)
    if registry is not None:
        return f"{registry.kind}: one of {registry.expected}"
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *further = typing.get_args(annotation)
        flat = [
            one
            for each in further
            for one in (each.metadata if isinstance(each, FieldInfo) else [each])
        ]
        return _limits(inner, [*metadata, *flat])
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(map(str, typing.get_args(annotation)))
    parts = [one for one in typing.get_args(annotation) if one not in (type(None), Ellipsis)]
    if typing.get_origin(annotation) is tuple:
        each = _limits(parts[0], []) if parts else ""
        return f"each {each}" if each else ""
    if typing.get_origin(annotation) is dict:
        return ""
    if parts:
        found = [_limits(part, metadata) for part in parts]
        return next((one for one in found if one), "")
    if annotation is bool:
        return "true or false"
    return _bounds(metadata) if annotation in (int, float) else ""


def _bounds(metadata: list[Any]) -> str:
    told = {
        words: getattr(one, name)
        for kind, name, words in _BOUNDS
        for one in metadata
        if isinstance(one, kind)
    }
    if list(told) == ["at least", "at most"]:
        return f"{_number(told['at least'])} to {_number(told['at most'])}"
    return ", ".join(f"{words} {_number(value)}" for words, value in told.items())


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
