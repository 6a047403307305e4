"""Comparison of several runs: which differences are more than chance, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twofold.components import files
from twofold.components.errors import UsageError
from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import describe, is_shown
from twofold.components.evaluation.run_comparison import Group, MeasuredRun, Row, compare
from twofold.components.pages.comparison_page import (
    ComparedRun,
    ComparisonContent,
    cell_text,
    difference_text,
    render_comparison,
    verdict_text,
)
from twofold.pipeline.runs.comparable_measures import Measured, why_not_compared
from twofold.pipeline.runs.run_record import RunRecord, flat, read_record, setting_text
from twofold.pipeline.tensorflow_import import import_tensorflow

# What may differ between runs that are the same but for chance.
_OF_CHANCE = ("name", "seed")


def compare_runs(paths: Sequence[Path], out: Path, console: Console) -> None:
    """Writes a page that compares runs with the first one, and prints its table.

    Args:
        paths: directories of two runs at least.
        out: the page's file.
        console: takes the table.

    Raises:
        UsageError: if there are fewer than two, one is given twice, or the page has no folder.
        RunDirectoryError: if one is no run with a finished step.

    """
    if len(paths) < 2:
        raise UsageError(f"a comparison needs two runs at least, received {len(paths)}")
    resolved = [path.resolve() for path in paths]
    for path in paths:
        if resolved.count(path.resolve()) > 1:
            raise UsageError(f"{path} is given twice: expected other runs")
    if out.is_dir() or not out.parent.is_dir():
        raise UsageError(f"--out {out}: expected a file in a directory that exists")
    records = [read_record(path) for path in paths]
    content = collect(records)
    files.write_text(out, render_comparison(content))
    _print(content, console)
    console.print(escape(str(out)))


def collect(records: Sequence[RunRecord]) -> ComparisonContent:
    """Reads what the page of a comparison shows."""
    import_tensorflow()
    names = _names(records)
    grouped: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        grouped.setdefault(_likeness(record), []).append(index)
    groups = []
    for members in grouped.values():
        runs = tuple(
            MeasuredRun(names[index], records[index].metrics, records[index].held_out[1])
            for index in members
        )
        name = names[members[0]]
        groups.append(
            Group(name if len(runs) == 1 else f"{name} and {_seeds(len(runs) - 1)}", runs)
        )
    firsts = [records[members[0]] for members in grouped.values()]

    def incomparable(measure: str, group: int) -> str:
        return why_not_compared(measure, measured_of(firsts[0]), measured_of(firsts[group]))

    group_of = {index: number for number, each in enumerate(grouped.values()) for index in each}
    return ComparisonContent(
        groups=groups,
        rows=compare(groups, incomparable),
        runs=[
            ComparedRun(names[index], group_of[index], record.curves(), record.figures().get("rsm"))
            for index, record in enumerate(records)
        ],
        settings=_settings(records),
        costs=_costs(records),
        datasets=[(record.dataset or "", record.dataset_fingerprint or "") for record in records],
    )


def measured_of(record: RunRecord) -> Measured:
    """Gives what a run's measures depend on."""
    split, images = record.held_out
    deciding = int(record.details("pretrain").get("deciding_images", 0))
    return Measured(record.configuration, record.dataset_fingerprint, split, images, deciding)


def _seeds(count: int) -> str:
    return f"{count} more seed{'' if count == 1 else 's'}"


def _names(records: Sequence[RunRecord]) -> list[str]:
    """The runs' names; with their folders where two have the same."""
    names = [record.path.resolve().name for record in records]
    if len(set(names)) == len(names):
        return names
    paths = [record.path.resolve() for record in records]
    depth = 2
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    return ["/".join(path.parts[-depth:]) for path in paths]


def _likeness(record: RunRecord) -> str:
    """What is equal for runs that differ in chance alone."""
    settings = {k: v for k, v in record.configuration.items() if k not in _OF_CHANCE}
    return json.dumps([settings, record.dataset_fingerprint], sort_keys=True, default=str)


def _settings(records: Sequence[RunRecord]) -> list[tuple[str, list[str]]]:
    """The settings in which the runs differ, their names aside."""
    flattened = [dict(flat(record.configuration)) for record in records]
    keys = list(dict.fromkeys(key for settings in flattened for key in settings))
    missing = object()
    rows = []
    for key in keys:
        values: list[Any] = [settings.get(key, missing) for settings in flattened]
        if key != "name" and any(value != values[0] for value in values):
            texts = ["-" if value is missing else setting_text(value) for value in values]
            rows.append((key, texts))
    return rows


def _costs(records: Sequence[RunRecord]) -> list[tuple[str, list[float | None]]]:
    rows: list[tuple[str, list[float | None]]] = []
    for step in ("prepare", "pretrain", "evaluate", "export"):
        seconds = [
            entry.get("seconds") if entry.get("status") == "done" else None
            for entry in (record.steps.get(step, {}) for record in records)
        ]
        rows.append((f"seconds of {step}", seconds))
    for name in ("pretrain/images_per_second", "export/bytes"):
        title = f"{describe(name).title}{', bytes' if name.endswith('bytes') else ''}"
        rows.append((title, [record.metrics.get(name) for record in records]))
    for title, name in (("parameters of the encoder", "parameters"), ("training steps", "steps")):
        rows.append((title, [record.details("pretrain").get(name) for record in records]))
    return [(title, values) for title, values in rows if any(v is not None for v in values)]


def _print(content: ComparisonContent, console: Console) -> None:
    for warning in content.warnings:
        console.print(f"[bold red]{escape(warning)}[/bold red]")
    shown = [row.name for row in content.rows if not is_shown(row.name, Place.ASIDE)]
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("measure", no_wrap=True, min_width=max(map(len, shown), default=0))
    for group in content.groups:
        table.add_column(escape(group.name), overflow="fold")
    for row in content.rows:
        if not is_shown(row.name, Place.ASIDE):
            table.add_row(escape(row.name), *(escape(text) for text in _cells(row)))
    console.print(table)
    for note in content.notes:
        console.print(escape(note))


def _cells(row: Row) -> list[str]:
    cells = []
    for spread, difference in zip(row.spreads, row.differences, strict=True):
        text = "-" if spread is None else cell_text(row.name, spread)
        if difference is not None:
            change = difference_text(row.name, difference)
            text += "".join(f"\n{line}" for line in (change, verdict_text(difference)) if line)
        cells.append(text)
    return cells
