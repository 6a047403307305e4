"""Result table of a run for the terminal: the headline metrics with their intervals."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import (
    bounds_of,
    describe,
    interval_text,
    names_at,
    value_text,
)


def result_table(metrics: Mapping[str, float]) -> Table:
    """Gives a row for each headline metric that was measured: title, value, interval."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name in names_at(Place.HEADLINE):
        if name in metrics:
            bounds = bounds_of(name, metrics)
            interval = f"95 % interval {interval_text(name, *bounds)}" if bounds else ""
            table.add_row(describe(name).title, value_text(name, metrics[name]), interval)
    return table
