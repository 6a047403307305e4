"""Charts as numbers: where lines, circles and intervals lie, for templates to make SVG of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twofold.components.pages.chart_axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    axis_range,
    log_ticks,
    round_step,
    round_ticks,
    ticks_with_texts,
    x_place,
    y_place,
)

_BINS = 40
_LARGEST_BUBBLE = 11.0
# As many points of a line as a screen can show.
_POINTS = 300
_COLOURS = 6

Format = Callable[[float], str]
Series = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: what it is called.
        colour: the number of its colour.
        path: where it goes.
        summary: what it says in words.
        dots: points that stand alone, as a path of lines without length.
        dashed: whether it is drawn with dashes.
        filled: whether what it encloses is tinted.

    """

    name: str
    colour: int
    path: str
    summary: str
    dots: str = ""
    dashed: bool = False
    filled: bool = False


@dataclass(frozen=True)
class Bubble:
    """One circle, and what it stands for."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point with an interval around it, and both in words."""

    x: float
    y: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart over two axes.

    Attributes:
        title: what it shows.
        x_label: what the horizontal axis measures.
        y_label: what the vertical axis measures; empty where the title says it.
        description: the chart in words.
        x_ticks: positions and texts.
        y_ticks: likewise.
        lines: of splits or runs.
        bubbles: circles.
        marks: points with intervals.

    """

    title: str
    x_label: str
    y_label: str
    description: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...] = ()
    bubbles: tuple[Bubble, ...] = ()
    marks: tuple[Mark, ...] = ()

    width, height, left, right, top, bottom = WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM


def histogram(
    title: str,
    x_label: str,
    values: Mapping[str, np.ndarray],
    *,
    colours: Mapping[str, int],
    form: Format,
    logarithmic: bool = False,
) -> Chart | None:
    """How values spread, one line per split, as shares of the split's images.

    Args:
        title: what it shows.
        x_label: what the values are.
        values: of each split, float [N]; above 0 where the axis is logarithmic.
        colours: of each split.
        form: a value as text.
        logarithmic: whether equal ratios, not differences, are equally far apart.

    Returns:
        The chart; None where all values are equal or there are none.

    """
    values = {name: found for name, found in values.items() if len(found)}
    if not values:
        return None
    low = min(float(found.min()) for found in values.values())
    high = max(float(found.max()) for found in values.values())
    if low == high:
        return None
    scale = np.log if logarithmic else np.asarray
    edges = np.linspace(float(scale(low)), float(scale(high)), _BINS + 1)
    shares = {
        name: np.histogram(scale(found), edges)[0] / len(found) for name, found in values.items()
    }
    top = max(float(share.max()) for share in shares.values())
    y_step = round_step(top / 3)
    y_top = y_step * math.ceil(top / y_step - 1e-9)
    lines = tuple(
        Line(name, colours[name], _steps(shares[name] / y_top), _spread(found, form), filled=True)
        for name, found in values.items()
    )
    ticks = log_ticks(low, high) if logarithmic else round_ticks(low, high)
    span = edges[-1] - edges[0]
    x_ticks = tuple((x_place(float(scale(tick) - edges[0]) / span), form(tick)) for tick in ticks)
    y_ticks = tuple(
        (y_place(number * y_step / y_top), f"{100 * number * y_step:.3g} %")
        for number in range(round(y_top / y_step) + 1)
    )
    described = "; ".join(f"{line.name}: {line.summary}" for line in lines)
    return Chart(title, x_label, "share of images", described, x_ticks, y_ticks, lines)


def sizes_chart(sizes: Sequence[tuple[int, int, int]]) -> Chart | None:
    """Widths and heights of images as circles, larger where there are more.

    Args:
        sizes: (height, width, images), the most frequent first.

    Returns:
        The chart; None where there are fewer than two sizes.

    """
    if len(sizes) < 2:
        return None
    widest = max(width for _, width, _ in sizes)
    highest = max(height for height, _, _ in sizes)
    x_ticks, y_ticks = (round_ticks(0, largest * 1.05) for largest in (widest, highest))
    most = sizes[0][2]
    bubbles = tuple(
        Bubble(
            x_place(width / (widest * 1.05)),
            y_place(height / (highest * 1.05)),
            round(max(1.5, _LARGEST_BUBBLE * math.sqrt(images / most)), 2),
            f"{width} x {height}: {images:,}",
        )
        for height, width, images in sizes
    )
    return Chart(
        "Widths and heights",
        "width in pixels",
        "height in pixels",
        "; ".join(bubble.text for bubble in bubbles[:5]) + " images of these sizes are the most",
        tuple((x_place(tick / (widest * 1.05)), f"{tick:,.0f}") for tick in x_ticks),
        tuple((y_place(tick / (highest * 1.05)), f"{tick:,.0f}") for tick in y_ticks),
        bubbles=bubbles,
    )


def line_chart(
    title: str,
    series: Mapping[str, Series],
    colours: Mapping[str, int] | None = None,
    unit: str = "step",
) -> Chart | None:
    """Lines of one quantity over training steps in one chart.

    Args:
        title: what the values are.
        series: name -> (steps int64 [n] ascending, values float64 [n]); values that are not finite
            leave gaps.
        colours: of each line, from 0 up; None gives each one its own. From the seventh on, colours
            come again with dashes.
        unit: what a step is called.

    Returns:
        The chart; None where no value is finite.

    """
    finite = [values[np.isfinite(values)] for _, values in series.values()]
    if not any(len(values) for values in finite):
        return None
    low, high = axis_range([float(value) for values in finite for value in values])
    last = max(int(steps[-1]) for steps, _ in series.values() if len(steps))
    first = min(int(steps[0]) for steps, _ in series.values() if len(steps))
    if first == last:
        first, last = first - 1, last + 1

    def x(step: float) -> float:
        return x_place((step - first) / (last - first))

    def y(value: float) -> float:
        return y_place((value - low) / (high - low))

    positions = dict(zip(series, range(len(series)), strict=True)) if colours is None else colours
    lines = tuple(
        Line(
            name,
            positions[name] % _COLOURS,
            _path(*_thinned(steps, values), x, y),
            _summary(steps, values, unit),
            _dots(*_thinned(steps, values), x, y),
            dashed=positions[name] >= _COLOURS,
        )
        for name, (steps, values) in series.items()
        if len(steps)
    )
    return Chart(
        title,
        unit,
        "",
        "; ".join(f"{line.name}: {line.summary}" for line in lines),
        tuple((x(tick), f"{tick:,.0f}") for tick in round_ticks(first, last) if tick == int(tick)),
        tuple((y(tick), text) for tick, text in ticks_with_texts(low, high)),
        lines,
    )


def share_chart(
    title: str, x_label: str, points: Sequence[tuple[float, float, float, float]]
) -> Chart | None:
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
    low, high = axis_range([value for point in points for value in point[1:]])
    first, last = math.log(points[0][0]), math.log(points[-1][0])

    def y(value: float) -> float:
        return y_place((value - low) / (high - low))

    positions = [x_place((math.log(share) - first) / (last - first)) for share, *_ in points]
    marks = tuple(
        Mark(
            position,
            y(accuracy),
            y(lower),
            y(upper),
            f"{share:.3g}: {accuracy:.2%}, 95 % interval {lower:.2%} to {upper:.2%}",
        )
        for position, (share, accuracy, lower, upper) in zip(positions, points, strict=True)
    )
    line = "".join(f"{'L' if n else 'M'}{mark.x:g} {mark.y:g}" for n, mark in enumerate(marks))
    described = "; ".join(mark.text for mark in marks)
    return Chart(
        title,
        x_label,
        "",
        described,
        tuple(
            (position, f"{100 * share:.3g} %")
            for position, (share, *_) in zip(positions, points, strict=True)
        ),
        tuple((y(tick), f"{100 * tick:.3g} %") for tick in round_ticks(low, high)),
        (Line(title, 0, line, ""),),
        marks=marks,
    )


def profile(counts: Sequence[int]) -> str:
    """The outline of bars in falling order, in a box of 100 by 100 units, as the path of an SVG.

    Heights are log(1 + count), since counts of many classes often fall like a power.
    """
    ordered = sorted(counts, reverse=True)
    most = math.log1p(max(ordered[0], 1))
    # More steps than a screen has points would only make the page larger.
    positions = np.unique(
        np.linspace(0, len(ordered) - 1, min(len(ordered), 300)).round().astype(int)
    )
    points = []
    for position, following in zip(positions, [*positions[1:], len(ordered)], strict=True):
        height = 100 - 100 * math.log1p(ordered[position]) / most
        left, right = (100 * bound / len(ordered) for bound in (position, following))
        points.append(f"L{left:.2f} {height:.2f}L{right:.2f} {height:.2f}")
    return f"M0 100{''.join(points)}L100 100Z"


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


def _summary(steps: NDArray[np.int64], values: NDArray[np.float64], unit: str = "step") -> str:
    """First, last and extreme values; what is missing is told."""
    finite = np.isfinite(values)
    if not finite.any():
        return "no finite value"
    known, at = values[finite], steps[finite]
    if len(known) == 1:
        return f"{_number(known[0])} at {unit} {at[0]:,}"
    lowest, highest = int(known.argmin()), int(known.argmax())
    text = f"{_number(known[0])} at {unit} {at[0]:,} to {_number(known[-1])} at {unit} {at[-1]:,}"
    if lowest not in (0, len(known) - 1):
        text += f", lowest {_number(known[lowest])} at {unit} {at[lowest]:,}"
    if highest not in (0, len(known) - 1):
        text += f", highest {_number(known[highest])} at {unit} {at[highest]:,}"
    missing = int((~finite).sum())
    return text + (f", {missing:,} not finite" if missing else "")


def _number(value: float) -> str:
    return f"{value:.4g}"


def _steps(heights: np.ndarray) -> str:
    """Bars' outline from the axis and back to it."""
    count = len(heights)
    points = [f"M{x_place(0)} {y_place(0)}"]
    for position, height in enumerate(heights.tolist()):
        points.append(f"V{y_place(height)}H{x_place((position + 1) / count)}")
    return "".join([*points, f"V{y_place(0)}"])


def _spread(values: np.ndarray, form: Format) -> str:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return f"median {form(median)}, nine in ten from {form(low)} to {form(high)}"
