"""Ranges of random numbers: checks, and the form that several transforms share."""

from __future__ import annotations

import math

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.errors import SettingsError


def check_number(field: str, value: float, low: float = 0.0, high: float = math.inf) -> None:
    """Refuses a number outside [low, high].

    Raises:
        SettingsError: naming the field, what was expected, and what was received.

    """
    if not low <= value <= high:
        raise SettingsError(f"{field} must be {_between(low, high)}, received {value}")


def check_span(
    field: str, span: tuple[float, float], low: float = 0.0, high: float = math.inf
) -> None:
    """Refuses a pair that is not ``low <= span[0] <= span[1] <= high``.

    Raises:
        SettingsError: naming the field, what was expected, and what was received.

    """
    if len(span) != 2 or not low <= span[0] <= span[1] <= high:
        raise SettingsError(
            f"{field} must be two numbers in ascending order, each {_between(low, high)}, "
            f"received {span}"
        )


def uniform_factor(keys: tf.Tensor, strength: float) -> tf.Tensor:
    """Draws one factor for each key (uint32 [B]), uniform in [max(0, 1 - strength), 1 + strength].

    Returns:
        float32 [B].

    """
    low = max(0.0, 1.0 - strength)
    return low + (1.0 + strength - low) * keyed_random.uniform(keys, 1)[:, 0]


def _between(low: float, high: float) -> str:
    return f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
