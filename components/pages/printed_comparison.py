"""Published curves beside a run's own: charts and rows of the run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from twofold.components.pages.charts import Chart, Series, line_chart


@dataclass(frozen=True)
class PrintedComparison:
    """A run's curves beside those that its recipe's source prints.

    Attributes:
        charts: over epochs, one per curve.
        rows: (which curve, epoch, the run's value, the printed values), at the last epoch that all
            have.
        notes: in what the run is not the published one, a sentence each.

    """

    charts: Sequence[Chart] = ()
    rows: Sequence[tuple[str, int, float, tuple[float, ...]]] = ()
    notes: Sequence[str] = ()


def means_by_epoch(series: Series, steps_per_epoch: float) -> Series:
    """Averages values over the steps of each epoch, as publications print them.

    Args:
        series: steps int64 [n], ascending from 1, and values float64 [n].
        steps_per_epoch: above 0.

    Returns:
        Epochs from 1 up, int64 [e], of those that have a value, and float64 [e].

    """
    steps, values = series
    # A step that ends an epoch belongs to it, also where rounding puts it a little behind.
    epochs = np.ceil(np.asarray(steps) / steps_per_epoch - 1e-6).astype(np.int64)
    found = np.unique(epochs)
    return found, np.array([float(np.mean(values[epochs == epoch])) for epoch in found])


def compare_with_printed(
    curves: Mapping[str, Series], printed: Mapping[str, Sequence[Sequence[float]]]
) -> PrintedComparison:
    """Draws curves over epochs beside the printed ones, for as many epochs as the run has.

    Args:
        curves: the run's, by title: epochs int64 [e] and values float64 [e].
        printed: of each title, the published runs' values after each epoch.

    """
    charts, rows = [], []
    for title, (epochs, values) in curves.items():
        runs = printed.get(title, ())
        if not runs or not len(epochs):
            continue
        last = int(epochs[-1])
        lines: dict[str, Series] = {"this run": (epochs, values)}
        for number, one in enumerate(runs, start=1):
            name = "published" if len(runs) == 1 else f"published, run {number}"
            shown = np.asarray(one[:last], dtype=np.float64)
            lines[name] = (np.arange(1, len(shown) + 1), shown)
        chart = line_chart(title, lines, unit="epoch")
        if chart is not None:
            charts.append(chart)
        common = [epoch for epoch in epochs if epoch <= min(map(len, runs))]
        if common:
            epoch = int(common[-1])
            own = float(values[np.flatnonzero(epochs == epoch)[0]])
            rows.append((title, epoch, own, tuple(float(one[epoch - 1]) for one in runs)))
    return PrintedComparison(tuple(charts), tuple(rows))
