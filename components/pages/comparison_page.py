"""Comparison page: runs side by side, in one HTML file that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twofold.components.evaluation import metrics
from twofold.components.evaluation.metric_catalogue import CHARTS, Place
from twofold.components.evaluation.run_comparison import Difference, Group, Row, Spread
from twofold.components.pages.charts import Chart, Series, line_chart
from twofold.components.pages.page_template import page_environment, png_uri


@dataclass(frozen=True)
class ComparedRun:
    """A run: its name, the number of its group, its curves, and its similarity matrix as PNG."""

    name: str
    group: int
    curves: Mapping[str, Series]
    rsm: bytes | None


@dataclass(frozen=True)
class ComparisonContent:
    """What the page of a comparison is made of.

    Attributes:
        groups: of runs that differ in their seed alone; the first is what others are held against.
        rows: the measures of the groups.
        runs: in the order in which they were named.
        settings: where the runs differ: (key path, a text for each run).
        costs: (what, a number for each run; None where it is not known).
        datasets: of each run, name and fingerprint.

    """

    groups: Sequence[Group]
    rows: Sequence[Row]
    runs: Sequence[ComparedRun]
    settings: Sequence[tuple[str, Sequence[str]]]
    costs: Sequence[tuple[str, Sequence[float | None]]]
    datasets: Sequence[tuple[str, str]]

    @property
    def warnings(self) -> list[str]:
        """What makes a comparison doubtful, a sentence each."""
        if len({fingerprint for _, fingerprint in self.datasets}) < 2:
            return []
        of = ", ".join(
            f"{run.name} on {name or 'none'}"
            for run, (name, _) in zip(self.runs, self.datasets, strict=True)
        )
        return [
            f"These runs are on different data sets ({of}): what they measured stands side by side "
            "and is not compared."
        ]

    @property
    def notes(self) -> list[str]:
        """How to read the verdicts, a sentence each."""
        several = any(len(group.runs) > 1 for group in self.groups)
        if len(self.groups) == 1:
            return [
                "All runs differ in their seed alone: the values are their mean and its 95 % "
                "interval over seeds, by Student's t."
            ]
        notes = []
        if not all(len(group.runs) > 1 for group in self.groups):
            notes.append(
                "A single run's interval covers the choice of test images, not the seed: whether "
                "the change or the seed made a difference, only more seeds tell."
            )
        if several:
            notes.append(
                "Of runs that differ in their seed alone the mean is given, with its 95 % interval "
                "over seeds by Student's t."
            )
        if any(
            one is not None and one.value is None for row in self.rows for one in row.differences
        ):
            notes.append(
                "“Not compared”: what the measure depends on besides the encoder differs, so that "
                "the values are not of the same thing."
            )
        notes.append(
            "“Exceeds noise” means p below 0.05; of twenty measures that do not differ, one does "
            "so by chance."
        )
        return notes


def render_comparison(content: ComparisonContent) -> str:
    """The page, as HTML; equal content gives equal text."""
    rows = [_row(row) for row in content.rows if any(row.spreads)]
    values: dict[str, Any] = {
        "content": content,
        "headline": [row for row in rows if not metrics.is_shown(row["name"], Place.ASIDE)],
        "aside": [row for row in rows if metrics.is_shown(row["name"], Place.ASIDE)],
        "unknown": metrics.unknown_names(row["name"] for row in rows),
        "charts_shown": list(_charts(content)),
        "rsms": [(run.name, png_uri(run.rsm)) for run in content.runs if run.rsm is not None],
        "costs": [(what, [_cost(what, value) for value in row]) for what, row in content.costs],
    }
    return page_environment().get_template("comparison.html").render(values)


def cell_text(name: str, spread: Spread) -> str:
    """A group's measure, with its interval where there is one."""
    interval = _interval(name, spread.low, spread.high)
    return metrics.value_text(name, spread.mean) + (f" ({interval})" if interval else "")


def verdict_text(difference: Difference) -> str:
    """Whether a difference exceeds noise, or why that is not known."""
    if difference.value is None:
        return f"not compared: {difference.how}"
    if difference.real is None:
        return f"not known: {difference.how}"
    verdict = "exceeds noise" if difference.real else "within noise"
    if difference.p is None:
        return verdict
    return f"{verdict} (p {'< 0.001' if difference.p < 0.001 else f'= {difference.p:.2g}'})"


def difference_text(name: str, difference: Difference | None) -> str:
    """A difference in the measure's unit; empty where there is none to speak of."""
    if difference is None or difference.value is None:
        return ""
    return metrics.difference_text(name, difference.value)


def _interval(name: str, low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else metrics.interval_text(name, low, high)


def _row(row: Row) -> dict[str, Any]:
    cells: list[dict[str, Any] | None] = []
    for spread, difference in zip(row.spreads, row.differences, strict=True):
        if spread is None:
            cells.append(None)
            continue
        cells.append(
            {
                "value": metrics.value_text(row.name, spread.mean),
                "interval": _interval(row.name, spread.low, spread.high),
                "values": [metrics.value_text(row.name, value) for value in spread.values]
                if len(spread.values) > 1
                else [],
                "difference": difference_text(row.name, difference),
                "verdict": difference and verdict_text(difference),
                "how": difference.how if difference else "",
                "real": difference.real if difference else None,
            }
        )
    return {"name": row.name, "title": metrics.describe(row.name).title, "cells": cells}


def _charts(content: ComparisonContent) -> Iterator[Chart]:
    """A chart a curve, with a line a run; where there are groups, runs of one have one colour."""
    tags = {tag for run in content.runs for tag in run.curves}
    titles = {
        tag: chart.title if len(chart.lines) == 1 else f"{chart.title}: {line}"
        for chart in CHARTS
        for tag, line in chart.lines.items()
    }
    order = [tag for tag in titles if tag in tags] + sorted(tags - set(titles))
    by_group = len(content.groups) > 1
    colours = {
        run.name: run.group if by_group else position for position, run in enumerate(content.runs)
    }
    for tag in order:
        series = {run.name: run.curves[tag] for run in content.runs if tag in run.curves}
        chart = line_chart(titles.get(tag, tag.replace("_", " ")), series, colours)
        if chart is not None:
            yield chart


def _cost(what: str, value: float | None) -> str:
    if value is None:
        return "-"
    if what.endswith("bytes"):
        return metrics.byte_text(value)
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
