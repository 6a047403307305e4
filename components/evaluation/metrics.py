"""Metrics: what a name means, and its values, intervals and differences as texts.

Whoever measures something writes a name and a number; whoever shows, compares or gates it asks here
what the name means, which `metric_catalogue` tells. A name that the catalogue lacks is still shown:
`describe` guesses from the words in it and marks the guess (`Metric.known`).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from twofold.components.evaluation.metric_catalogue import (
    CATALOGUE,
    Direction,
    Metric,
    Place,
    Unit,
)

BOUNDS = ("_low", "_high")


@functools.lru_cache(maxsize=4096)
def describe(name: str) -> Metric:
    """What is known of a metric, its title filled in; a guess where the catalogue has no entry."""
    for bound, what in zip(BOUNDS, ("lower", "upper"), strict=True):
        of = _find(name.removesuffix(bound)) if name.endswith(bound) else None
        if of is not None and of.interval:
            return replace(
                of,
                title=f"{what} bound of: {of.title}",
                shown=frozenset({Place.ASIDE}),
                direction=Direction.NONE,
                interval=False,
                study_name="",
            )
    found = _find(name)
    if found is not None:
        return found
    return _guess(name)


def names_at(place: Place) -> list[str]:
    """The names, no families, of the metrics that are shown at a place, in its order."""
    return [one.pattern for one in CATALOGUE if place in one.shown and "*" not in one.pattern]


def is_shown(name: str, place: Place) -> bool:
    """Tells whether a metric is shown at a place."""
    return place in describe(name).shown


def unknown_names(names: Iterable[str]) -> list[str]:
    """The names that the catalogue does not know, sorted."""
    return sorted(name for name in names if not describe(name).known)


def members(pattern: str, names: Iterable[str]) -> dict[tuple[str, ...], str]:
    """The metrics of a family by the parts of their names that its pattern leaves open.

    Bounds of intervals are no members.
    """
    compiled = _compiled(pattern)
    found = ((compiled.fullmatch(name), name) for name in names if not name.endswith(BOUNDS))
    return {match.groups(): name for match, name in found if match is not None}


def bounds_of(name: str, metrics: Mapping[str, float]) -> tuple[float, float] | None:
    """The recorded bounds of a metric's 95 % interval; None where there are not both."""
    low, high = (metrics.get(f"{name}{end}") for end in BOUNDS)
    return None if low is None or high is None else (low, high)


def value_text(name: str, value: float) -> str:
    """A metric's value in its unit."""
    match describe(name).unit:
        case Unit.SHARE:
            return f"{value:.2%}"
        case Unit.POINTS:
            return f"{100 * value:+.2f} points"
        case Unit.BYTES:
            return byte_text(value)
        case Unit.MILLISECONDS:
            return f"{value:.3g} ms"
        case Unit.NATS:
            return f"{_number(value)} nats"
        case Unit.COUNT | Unit.PER_SECOND:
            return f"{value:,.0f}"
        case _:
            return _number(value)


def interval_text(name: str, low: float, high: float) -> str:
    """An interval of a metric in its unit, within the values that it can have."""
    if describe(name).unit in (Unit.SHARE, Unit.SCORE):
        # Student's interval ignores that shares are bounded.
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{value_text(name, low)} to {value_text(name, high)}"


def difference_text(name: str, difference: float) -> str:
    """A difference of two values with its sign; of shares in percentage points."""
    if describe(name).unit in (Unit.SHARE, Unit.POINTS):
        return f"{100 * difference:+.2f} points"
    return f"{difference:+.4g}"


def is_within_unit(name: str) -> bool:
    """Tells whether a metric's values lie in [0, 1]."""
    return describe(name).unit in (Unit.SHARE, Unit.SCORE)


def byte_text(value: float) -> str:
    """A number of bytes in the unit that suits it."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:,.0f} {unit}" if value >= 100 or unit == "bytes" else f"{value:.3g} {unit}"


def _find(name: str) -> Metric | None:
    exact = _exact().get(name)
    if exact is not None:
        return exact
    for pattern, metric in _families():
        found = pattern.fullmatch(name)
        if found is not None:
            parts = [part.replace("_", " ") for part in found.groups()]
            return replace(metric, title=metric.title.format(*parts))
    return None


def _guess(name: str) -> Metric:
    title = name.replace("_", " ").replace("/", ", ")
    last = name.rpartition("/")[2]
    unit = Unit.SHARE if "accuracy" in last else Unit.NUMBER
    if last.endswith(BOUNDS):
        return Metric(name, title, unit, shown=frozenset({Place.ASIDE}), known=False)
    if unit is Unit.SHARE:
        return Metric(name, title, unit, Direction.HIGHER, known=False)
    direction = Direction.LOWER if last == "loss" else Direction.NONE
    return Metric(name, title, direction=direction, known=False)


def _number(value: float) -> str:
    if math.isfinite(value) and float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4g}"


@functools.cache
def _exact() -> dict[str, Metric]:
    return {one.pattern: one for one in CATALOGUE if "*" not in one.pattern}


@functools.cache
def _families() -> list[tuple[re.Pattern[str], Metric]]:
    return [(_compiled(one.pattern), one) for one in CATALOGUE if "*" in one.pattern]


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"*": "([^/]+?)", "**": "(.+)"}
    parts = re.split(r"(\*\*?)", pattern)
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts))
