"""Comparison of runs: whether two differ by more than chance over images or seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite, sqrt
from statistics import fmean, stdev

from scipy import stats

from twofold.components.errors import EvaluationError
from twofold.components.evaluation.confidence_intervals import binomial_interval
from twofold.components.evaluation.metrics import BOUNDS, bounds_of

LEVEL = 0.05
# A recorded bound holds as many digits as a float; another number of images moves it by more.
_SAME_BOUND = 1e-9


@dataclass(frozen=True)
class MeasuredRun:
    """What a run measured.

    Attributes:
        name: of the run.
        metrics: name -> value.
        held_out: images of its held-out split, 0 where that is not known.

    """

    name: str
    metrics: Mapping[str, float]
    held_out: int = 0


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone, at least one."""

    name: str
    runs: tuple[MeasuredRun, ...]


@dataclass(frozen=True)
class Spread:
    """A measure of a group.

    Attributes:
        values: of the runs that have it.
        mean: of the values.
        low: of the 95 % interval: of the mean over seeds where there are several, or of the one
            accuracy over test images; None where it is not known.
        high: likewise.

    """

    values: tuple[float, ...]
    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """How a group's measure differs from the first group's.

    Attributes:
        value: the difference of the means; None where the two are not values of the same thing.
        real: whether it exceeds what chance explains; None where that is not known.
        p: the probability of a difference as large by chance; None where there is no test.
        how: the test in words, or why there is none.

    """

    value: float | None
    real: bool | None
    p: float | None
    how: str


@dataclass(frozen=True)
class Row:
    """A measure of all groups; None where a group lacks it or there is nothing to compare."""

    name: str
    spreads: tuple[Spread | None, ...]
    differences: tuple[Difference | None, ...]


def compare(
    groups: Sequence[Group], incomparable: Callable[[str, int], str] = lambda name, group: ""
) -> list[Row]:
    """Compare every group with the first one.

    Args:
        groups: at least one.
        incomparable: says of a measure and the number of a group why its values there and in the
            first group are not values of the same thing, so that they stand side by side without
            a test; empty where they are.

    Returns:
        A row for each measure that some run has, by name; the bounds of intervals, whose names
        end in _low and _high, are no measures of their own.

    """
    names = sorted({name for group in groups for run in group.runs for name in run.metrics})
    bounds = {f"{name}{end}" for name in names for end in BOUNDS}
    rows = []
    for name in names:
        if name in bounds:
            continue
        spreads = tuple(_spread(group, name) for group in groups)
        differences = tuple(
            None if index == 0 else _difference(name, groups[0], group, incomparable(name, index))
            for index, group in enumerate(groups)
        )
        rows.append(Row(name, spreads, differences))
    return rows


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Give Student's interval of the mean of values that scatter normally.

    Args:
        values: at least two.
        confidence: in (0, 1).

    Raises:
        EvaluationError: if there are fewer than two values.

    """
    if len(values) < 2:
        raise EvaluationError(f"An interval over seeds needs two values, received {len(values)}.")
    mean = fmean(values)
    quantile = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    margin = quantile * stdev(values, mean) / sqrt(len(values))
    return mean - margin, mean + margin


def proportions_p(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Give the two-sided p of Fisher's exact test that two shares are one and the same.

    Fisher 1922: unlike the test by normal approximation it holds for accuracies near 0 and 1. It
    takes the two samples for independent; two runs on the same images mostly err on the same ones,
    which makes the test cautious.

    Args:
        first: (right, all) of one run.
        second: likewise of the other.

    """
    table = [[right, total - right] for right, total in (first, second)]
    return float(stats.fisher_exact(table)[1])


def seeds_p(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Give the two-sided p of Student's test that two groups of seeds have one mean.

    With one value on a side, this asks whether it is one that the other side could have given.

    Args:
        first: values of one group.
        second: of the other; three values in all at least.

    Returns:
        None where the values within the groups do not scatter at all.

    """
    if all(value == first[0] for value in first) and all(value == second[0] for value in second):
        return None
    with warnings.catch_warnings():
        # Told of values that hardly scatter, for which the p is 0 in any case.
        warnings.simplefilter("ignore", RuntimeWarning)
        p = float(stats.ttest_ind(first, second).pvalue)
    return p if isfinite(p) else None


def _values(group: Group, name: str) -> tuple[float, ...]:
    return tuple(run.metrics[name] for run in group.runs if name in run.metrics)


def _spread(group: Group, name: str) -> Spread | None:
    values = _values(group, name)
    if not values:
        return None
    if len(values) > 1:
        return Spread(values, fmean(values), *mean_interval(values))
    run = next(run for run in group.runs if name in run.metrics)
    return Spread(values, values[0], *(bounds_of(name, run.metrics) or (None, None)))


def _difference(name: str, first: Group, other: Group, incomparable: str) -> Difference | None:
    here, there = _values(first, name), _values(other, name)
    if not here or not there:
        return None
    if incomparable:
        return Difference(None, None, None, incomparable)
    value = fmean(there) - fmean(here)
    if len(here) + len(there) > 2:
        p = seeds_p(here, there)
        if p is not None:
            how = f"Student's test over {len(here)} and {len(there)} seeds"
            return Difference(value, p < LEVEL, p, how)
    # One run each, or seeds that do not scatter, of which one is as good as all.
    runs = [next(run for run in group.runs if name in run.metrics) for group in (first, other)]
    counted = [_counted(run, name) for run in runs]
    if counted[0] is not None and counted[1] is not None:
        p = proportions_p(counted[0], counted[1])
        return Difference(value, p < LEVEL, p, "Fisher's exact test over test images")
    intervals = [bounds_of(name, run.metrics) for run in runs]
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return Difference(value, None, None, "no interval")
    apart = max(low for low, _ in known) > min(high for _, high in known)
    return Difference(value, apart, None, "whether the 95 % intervals are apart")


def _counted(run: MeasuredRun, name: str) -> tuple[int, int] | None:
    """How many images were right of how many, if the recorded interval is that of these counts."""
    recorded = bounds_of(name, run.metrics)
    if recorded is None or run.held_out < 1 or not 0 <= run.metrics[name] <= 1:
        return None
    right = round(run.metrics[name] * run.held_out)
    bounds = binomial_interval(right, run.held_out)
    same = all(
        isclose(one, other, abs_tol=_SAME_BOUND)
        for one, other in zip(bounds, recorded, strict=True)
    )
    return (right, run.held_out) if same else None
