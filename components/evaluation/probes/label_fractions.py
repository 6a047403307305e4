"""How accuracy grows with the number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

from scipy.stats import t as student

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.plots.run_plots import CURVE_COLOUR, new_figure, write_png


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


def draw_fractions(
    measured: Mapping[float, MeanInterval], with_all: float, path: Path, title: str
) -> None:
    """Draw accuracy over the share of labels, with intervals, and a line for all labels.

    Args:
        measured: by share in (0, 1]; at least one.
        with_all: accuracy with all labels.
        path: of the PNG file; folders that lack are made.
        title: above all.

    Raises:
        EvaluationError: if there is nothing to draw.

    """
    if not measured:
        raise EvaluationError("A figure of label fractions needs at least one.")
    shares = sorted(measured)
    means = [measured[share].mean for share in shares]
    low = [measured[share].low for share in shares]
    high = [measured[share].high for share in shares]
    figure = new_figure(width=5.0, height=3.6)
    panel = figure.subplots()
    panel.set_title(title, fontsize=12)
    panel.axhline(with_all, color="0.45", linewidth=1, linestyle="--", label="all labels")
    panel.fill_between(shares, low, high, color=CURVE_COLOUR, alpha=0.2, linewidth=0)
    errors = [
        [mean - bound for mean, bound in zip(means, low, strict=True)],
        [bound - mean for mean, bound in zip(means, high, strict=True)],
    ]
    panel.errorbar(
        shares,
        means,
        yerr=errors,
        color=CURVE_COLOUR,
        linewidth=1.4,
        marker="o",
        markersize=4,
        capsize=3,
        label="mean and 95 % interval",
    )
    panel.set_xscale("log")
    panel.set_xticks(shares, [f"{share * 100:g}" for share in shares])
    panel.set_xticks([], minor=True)
    panel.set_xlim(shares[0] / 1.4, max(1.0, shares[-1]) * 1.2)
    panel.set_xlabel("labels kept, per cent")
    panel.set_ylabel("held-out accuracy")
    panel.grid(color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(loc="lower right", fontsize=9, frameon=False)
    write_png(figure, path)
