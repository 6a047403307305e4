"""Axes of charts: the drawing area, what an axis covers, and round numbers along it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from twofold.components.pages.page_template import plain

# The drawing area of a chart, in the units of its `viewBox`.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 10, 38


def x_place(share: float) -> float:
    """Where a share of the horizontal axis is, from the left."""
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)


def y_place(share: float) -> float:
    """Where a share of the vertical axis is, from below."""
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)


def axis_range(values: Sequence[float]) -> tuple[float, float]:
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


def round_step(step: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is no smaller than a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers within a range, four to ten of them."""
    step = round_step((high - low) / 5)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of two, or of a power of two, or where the values span little, steps between them."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    if last - first < 2:
        return round_ticks(low, high)
    stride = math.ceil((last - first + 1) / 6)
    return [2.0**power for power in range(first, last + 1, stride)]


def ticks_with_texts(low: float, high: float) -> list[tuple[float, str]]:
    """Places on an axis and their texts, with as many digits as tell them apart."""
    positions = round_ticks(low, high)
    step = positions[1] - positions[0] if len(positions) > 1 else high - low
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    # What is left of a difference of floats is no value.
    values = [0.0 if abs(position) < step / 2 else position for position in positions]
    if digits > 4 or max(map(abs, values), default=0.0) >= 1e6:
        return [(value, plain(value)) for value in values]
    return [(value, f"{value:,.{digits}f}") for value in values]
