"""Charts of a report as numbers: what is to be drawn where. Templates turn them into SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# The drawing area of a chart, in the units of its `viewBox`.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 10, 38
_BINS = 40
_LARGEST_BUBBLE = 11.0

Format = Callable[[float], str]


@dataclass(frozen=True)
class Line:
    """One split's line, and a summary of its values in words."""

    name: str
    colour: int
    path: str
    summary: str


@dataclass(frozen=True)
class Bubble:
    """One circle, and what it stands for."""

    x: float
    y: float
    radius: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A chart with axes.

    Attributes:
        title: what it shows.
        x_label: what the horizontal axis measures.
        y_label: what the vertical axis measures.
        x_ticks: places and texts.
        y_ticks: likewise.
        lines: one a split.
        bubbles: circles.
        description: the chart in words.

    """

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    description: str
    lines: tuple[Line, ...] = ()
    bubbles: tuple[Bubble, ...] = ()

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
    """How values spread, a line a split, as shares of the split's images.

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
    y_step = _nice(top / 3)
    y_top = y_step * math.ceil(top / y_step - 1e-9)
    lines = tuple(
        Line(name, colours[name], _steps(shares[name] / y_top), _summary(found, form))
        for name, found in values.items()
    )
    ticks = _log_ticks(low, high) if logarithmic else round_ticks(low, high)
    span = edges[-1] - edges[0]
    x_ticks = tuple((_x(float(scale(tick) - edges[0]) / span), form(tick)) for tick in ticks)
    y_ticks = tuple(
        (_y(number * y_step / y_top), f"{100 * number * y_step:.3g} %")
        for number in range(round(y_top / y_step) + 1)
    )
    described = "; ".join(f"{line.name}: {line.summary}" for line in lines)
    return Chart(title, x_label, "share of images", x_ticks, y_ticks, described, lines)


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
            _x(width / (widest * 1.05)),
            _y(height / (highest * 1.05)),
            round(max(1.5, _LARGEST_BUBBLE * math.sqrt(images / most)), 2),
            f"{width} x {height}: {images:,}",
        )
        for height, width, images in sizes
    )
    return Chart(
        "Widths and heights",
        "width in pixels",
        "height in pixels",
        tuple((_x(tick / (widest * 1.05)), f"{tick:,.0f}") for tick in x_ticks),
        tuple((_y(tick / (highest * 1.05)), f"{tick:,.0f}") for tick in y_ticks),
        "; ".join(bubble.text for bubble in bubbles[:5]) + " images of these sizes are the most",
        bubbles=bubbles,
    )


def profile(counts: Sequence[int]) -> str:
    """The outline of bars in falling order, in a box of 100 by 100 units, as the path of an SVG.

    Heights are log(1 + count), since counts of many classes often fall like a power.
    """
    ordered = sorted(counts, reverse=True)
    most = math.log1p(max(ordered[0], 1))
    # More steps than a screen has points would only make the page larger.
    places = np.unique(np.linspace(0, len(ordered) - 1, min(len(ordered), 300)).round().astype(int))
    points = []
    for place, following in zip(places, [*places[1:], len(ordered)], strict=True):
        height = 100 - 100 * math.log1p(ordered[place]) / most
        left, right = (100 * bound / len(ordered) for bound in (place, following))
        points.append(f"L{left:.2f} {height:.2f}L{right:.2f} {height:.2f}")
    return f"M0 100{''.join(points)}L100 100Z"


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)


def _y(share: float) -> float:
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)


def _steps(heights: np.ndarray) -> str:
    """Bars' outline from the axis and back to it."""
    count = len(heights)
    points = [f"M{_x(0)} {_y(0)}"]
    for place, height in enumerate(heights.tolist()):
        points.append(f"V{_y(height)}H{_x((place + 1) / count)}")
    return "".join([*points, f"V{_y(0)}"])


def _summary(values: np.ndarray, form: Format) -> str:
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return f"median {form(median)}, nine in ten from {form(low)} to {form(high)}"


def _nice(step: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is no smaller than a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers within a range, four to ten of them."""
    step = _nice((high - low) / 5)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of two, or of a power of two, or where the values span little, steps between them."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    if last - first < 2:
        return round_ticks(low, high)
    stride = math.ceil((last - first + 1) / 6)
    return [2.0**power for power in range(first, last + 1, stride)]
