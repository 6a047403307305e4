"""Lines over training steps, and accuracies with their intervals, as numbers for a page's SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.components.pages.charts import round_ticks
from twofold.components.pages.page_template import plain

# The drawing area, in the units of its `viewBox`.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 38
# As many points of a line as a screen can show.
_POINTS = 300
_COLOURS = 6

Series = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class Curve:
    """One line.

    Attributes:
        name: what it is called.
        colour: the number of its colour.
        path: where it goes.
        summary: what it says in words.
        dots: points that stand alone, as a path of lines without length.
        dashed: whether it is drawn with dashes.

    """

    name: str
    colour: int
    path: str
    summary: str
    dots: str = ""
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A point with an interval around it, and both in words."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class LineChart:
    """A chart of lines, or of points with intervals, over two axes.

    Attributes:
        title: what it shows.
        x_label: what the horizontal axis measures.
        description: the chart in words.
        x_ticks: places and texts.
        y_ticks: likewise.
        curves: lines.
        marks: points.

    """

    title: str
    x_label: str
    description: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    curves: tuple[Curve, ...] = ()
    marks: tuple[Mark, ...] = ()

    width, height, left, right, top, bottom = WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM


def line_chart(
    title: str, series: Mapping[str, Series], colours: Mapping[str, int] | None = None
) -> LineChart | None:
    """Lines of one quantity over training steps in one chart.

    Args:
        title: what the values are.
        series: name -> (steps int64 [n] ascending, values float64 [n]); values that are not finite
            leave gaps.
        colours: of each line, from 0 up; None gives each one its own. From the seventh on, colours
            come again with dashes.

    Returns:
        The chart; None where no value is finite.

    """
    finite = [values[np.isfinite(values)] for _, values in series.values()]
    if not any(len(values) for values in finite):
        return None
    low, high = _range([float(value) for values in finite for value in values])
    last = max(int(steps[-1]) for steps, _ in series.values() if len(steps))
    first = min(int(steps[0]) for steps, _ in series.values() if len(steps))
    if first == last:
        first, last = first - 1, last + 1

    def x(step: float) -> float:
        return _x((step - first) / (last - first))

    def y(value: float) -> float:
        return _y((value - low) / (high - low))

    places = dict(zip(series, range(len(series)), strict=True)) if colours is None else colours
    curves = tuple(
        Curve(
            name,
            places[name] % _COLOURS,
            _path(*_thinned(steps, values), x, y),
            _summary(steps, values),
            _dots(*_thinned(steps, values), x, y),
            dashed=places[name] >= _COLOURS,
        )
        for name, (steps, values) in series.items()
        if len(steps)
    )
    return LineChart(
        title,
        "step",
        "; ".join(f"{curve.name}: {curve.summary}" for curve in curves),
        tuple((x(tick), f"{tick:,.0f}") for tick in round_ticks(first, last) if tick == int(tick)),
        tuple((y(tick), text) for tick, text in _ticks(low, high)),
        curves,
    )


def share_chart(
    title: str, x_label: str, points: Sequence[tuple[float, float, float, float]]
) -> LineChart | None:
    """Accuracies over shares of something, on a logarithmic axis, with their intervals.

    Args:
        title: what it shows.
        x_label: what the shares are of.
        points: (share in (0, 1], accuracy, its lower and upper bound), by rising share.

    Returns:
        The chart; None where there are fewer than two points.

    """
    if len(points) < 2:
        return None
    low, high = _range([value for point in points for value in point[1:]])
    first, last = math.log(points[0][0]), math.log(points[-1][0])

    def y(value: float) -> float:
        return _y((value - low) / (high - low))

    places = [_x((math.log(share) - first) / (last - first)) for share, *_ in points]
    marks = tuple(
        Mark(
            place,
            y(accuracy),
            y(lower),
            y(upper),
            f"{share:.3g}: {accuracy:.2%}, 95 % interval {lower:.2%} to {upper:.2%}",
        )
        for place, (share, accuracy, lower, upper) in zip(places, points, strict=True)
    )
    line = "".join(f"{'L' if n else 'M'}{mark.x:g} {mark.y:g}" for n, mark in enumerate(marks))
    described = "; ".join(mark.text for mark in marks)
    return LineChart(
        title,
        x_label,
        described,
        tuple(
            (place, f"{100 * share:.3g} %")
            for place, (share, *_) in zip(places, points, strict=True)
        ),
        tuple((y(tick), f"{100 * tick:.3g} %") for tick in round_ticks(low, high)),
        (Curve(title, 0, line, "", dashed=False),),
        marks,
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    """What an axis covers: the values and a little beyond them."""
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    if high - low > max(1e-9 * largest, 1e-12):
        room = (high - low) * 0.05
    else:
        # What differs by less than rounding does is drawn as one value.
        room = largest * 0.1 if largest > 1e-12 else 1.0
    # An axis of what cannot be negative does not go below 0.
    return (max(low - room, 0.0) if low >= 0 else low - room), high + room


def _thinned(steps: NDArray[np.int64], values: NDArray[np.float64]) -> Series:
    if len(steps) <= _POINTS:
        return steps, values
    kept = np.unique(np.linspace(0, len(steps) - 1, _POINTS).round().astype(int))
    return steps[kept], values[kept]


def _path(
    steps: NDArray[np.int64],
    values: NDArray[np.float64],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    parts, drawing = [], False
    for step, value in zip(steps.tolist(), values.tolist(), strict=True):
        if math.isfinite(value):
            parts.append(f"{'L' if drawing else 'M'}{x(step):g} {y(value):g}")
        drawing = math.isfinite(value)
    return "".join(parts)


def _dots(
    steps: NDArray[np.int64],
    values: NDArray[np.float64],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """Points without a neighbour to be joined with."""
    finite = np.concatenate([[False], np.isfinite(values), [False]])
    alone = np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:])
    return "".join(f"M{x(float(steps[n])):g} {y(float(values[n])):g}h0" for n in alone)


def _summary(steps: NDArray[np.int64], values: NDArray[np.float64]) -> str:
    """First, last and extreme values; what is missing is told."""
    finite = np.isfinite(values)
    if not finite.any():
        return "no finite value"
    known, at = values[finite], steps[finite]
    if len(known) == 1:
        return f"{_number(known[0])} at step {at[0]:,}"
    lowest, highest = int(known.argmin()), int(known.argmax())
    text = f"{_number(known[0])} at step {at[0]:,} to {_number(known[-1])} at step {at[-1]:,}"
    if lowest not in (0, len(known) - 1):
        text += f", lowest {_number(known[lowest])} at step {at[lowest]:,}"
    if highest not in (0, len(known) - 1):
        text += f", highest {_number(known[highest])} at step {at[highest]:,}"
    missing = int((~finite).sum())
    return text + (f", {missing:,} not finite" if missing else "")


def _number(value: float) -> str:
    return f"{value:.4g}"


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Places on an axis and their texts, with as many digits as tell them apart."""
    places = round_ticks(low, high)
    step = places[1] - places[0] if len(places) > 1 else high - low
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    # What is left of a difference of floats is no value.
    values = [0.0 if abs(place) < step / 2 else place for place in places]
    if digits > 4 or max(map(abs, values), default=0.0) >= 1e6:
        return [(value, plain(value)) for value in values]
    return [(value, f"{value:,.{digits}f}") for value in values]


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)
