"""Student's t intervals of accuracies over seeds, as for fractions of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from scipy.stats import t as student

from twofold.components.errors import EvaluationError


class MeanInterval(NamedTuple):
    """A mean and the interval that holds the true mean with some probability."""

    mean: float
    low: float
    high: float


def t_interval(values: Sequence[float], confidence: float = 0.95) -> MeanInterval:
    """Give the mean of accuracies and its interval by Student's t distribution.

    Student 1908: mean +- t * s / sqrt(n), where s is the standard deviation with n - 1 degrees of
    freedom and t the quantile (1 + confidence) / 2. It covers the choice of the labels (what the
    seeds differ in), not that of the test images. Bounds are cut to [0, 1].

    Args:
        values: n >= 2 numbers in [0, 1].
        confidence: in (0, 1).

    Raises:
        EvaluationError: if there are fewer than two, one is no share, or the confidence is out of
            range.

    """
    if len(values) < 2 or not all(0 <= one <= 1 for one in values) or not 0 < confidence < 1:
        raise EvaluationError(
            "An interval over seeds needs at least two accuracies in [0, 1] and a confidence in "
            f"(0, 1), but they are {list(values)} and {confidence}."
        )
    mean, low, high = mean_interval(values, confidence)
    return MeanInterval(mean, max(0.0, low), min(1.0, high))


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> MeanInterval:
    """Give the mean of any numbers and its interval, as `t_interval` does, with no bounds.

    Args:
        values: n >= 2 numbers.
        confidence: in (0, 1).

    Raises:
        EvaluationError: if there are fewer than two.

    """
    if len(values) < 2:
        raise EvaluationError(f"An interval needs at least two numbers, but they are {values}.")
    mean = fmean(values)
    quantile = float(student.ppf((1 + confidence) / 2, len(values) - 1))
    margin = quantile * stdev(values) / sqrt(len(values))
    return MeanInterval(mean, mean - margin, mean + margin)
