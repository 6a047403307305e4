"""Run page: what was run, measured and drawn, in one HTML file that opens anywhere, offline."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twofold.components.evaluation.metric_catalogue import CHARTS, Place
from twofold.components.evaluation.metrics import (
    bounds_of,
    describe,
    interval_text,
    is_shown,
    members,
    names_at,
    unknown_names,
    value_text,
)
from twofold.components.pages.charts import Chart, Series, line_chart, share_chart
from twofold.components.pages.expected_result import ExpectedResult
from twofold.components.pages.page_template import page_environment, png_uri, short
from twofold.components.pages.printed_comparison import PrintedComparison

# Pictures with a place of their own on the page; any other comes at the end.
_PICTURES = {
    "views": "The original images, and what the views make of them.",
    "dictionary": "The first atoms of the dictionary, whitened patches: grey is 0.",
    "reconstructions": "The original images, and what the decoder makes of their embeddings.",
    "rsm": "Cosine similarities of held-out images: the more each block on the diagonal stands "
    "out, the more the embedding keeps its images together.",
    "rsm_histogram": "How the similarities spread.",
    "probe_loss": "How the recipe's probe learns on the frozen features: the loss of each epoch.",
    "probe_accuracy": "How the recipe's probe learns: the held-out accuracy after each epoch.",
    "robustness_gain": "By how many points the student's accuracy on corrupted images exceeds its "
    "teacher's.",
    "finetune_fractions": "Held-out accuracy after fine-tuning on shares of the labels.",
    "reliability": "Accuracy of the linear probe against its confidence: on the diagonal, it is "
    "right as often as it says.",
}
# Drawn from their numbers.
_DRAWN = ("curves", "teacher_curves", "robustness", "label_fractions")
_MATRIX_CLASSES = 20
_CONFUSIONS = 12
# Splits that are looked at after each epoch.
_WATCHED = {"validation": "validation", "test": "held-out"}
_FINETUNED = {"fine-tuned": "finetune", "from scratch": "finetune_scratch"}


@dataclass(frozen=True)
class Neighbour:
    """A training image near a held-out one; `agrees` is None where a label is missing."""

    key: str
    label: str
    similarity: float
    agrees: bool | None
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Query:
    """A held-out image and its nearest training images, the nearest first."""

    key: str
    label: str
    pixels: NDArray[np.uint8]
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Failure:
    """A held-out image that the linear probe gets wrong."""

    key: str
    label: str
    predicted: str
    confidence: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Confusion:
    """Held-out images by class (row) and predicted class (column), int64 [K, K]."""

    class_names: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Images to look at.

    Attributes:
        queries: held-out images and their neighbours.
        confusion: of the linear probe.
        failures: of the linear probe, the surest first.

    """

    queries: Sequence[Query] = ()
    confusion: Confusion | None = None
    failures: Sequence[Failure] = ()


@dataclass(frozen=True)
class StepCost:
    """A step of the run, how it ended, and how long it took."""

    name: str
    status: str
    seconds: float | None
    error: str = ""


@dataclass(frozen=True)
class RunContent:
    """What the page of a run is made of; what a run does not have is empty.

    Attributes:
        name: of the run.
        lineage: what it was made from and with: (what, its value).
        changed: settings other than the defaults: (key path, value, default); None where the
            settings could not be read.
        configuration: all settings, YAML.
        steps: in their order.
        metrics: name -> value.
        held_out: images of the held-out split that have a label, 0 where that is not known.
        curves: name -> values over the training steps.
        teacher_curves: likewise of the teacher, where there is one.
        finetune_curves: likewise of the trainings with labels, by what they started from.
        figures: name -> PNG file.
        examples: images to look at.
        notes: what a reader should know, a sentence each.
        facts: further costs: (what, its value).
        links: (text, relative address) of files beside the page.
        expected: results of the recipe that was run.
        expected_notes: on what they were measured, and in what the run differs.
        printed: the curves that the recipe's source prints, beside the run's own.

    """

    name: str
    lineage: Sequence[tuple[str, str]]
    changed: Sequence[tuple[str, str, str]] | None
    configuration: str
    steps: Sequence[StepCost]
    metrics: Mapping[str, float]
    held_out: int = 0
    curves: Mapping[str, Series] = field(default_factory=dict)
    teacher_curves: Mapping[str, Series] = field(default_factory=dict)
    finetune_curves: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    examples: Examples = Examples()
    notes: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    links: Sequence[tuple[str, str]] = ()
    expected: Sequence[ExpectedResult] = ()
    expected_notes: Sequence[str] = ()
    printed: PrintedComparison | None = None


def render_run(content: RunContent) -> str:
    """The page, as HTML; equal content gives equal text."""
    metrics = content.metrics
    figures = {name: png_uri(png) for name, png in sorted(content.figures.items())}
    known = (*_PICTURES, *_DRAWN, "confusion")
    fractions = _label_fractions(metrics)
    named = [
        (name, describe(name).title, value_text(name, metrics[name])) for name in sorted(metrics)
    ]
    values: dict[str, Any] = {
        "content": content,
        "tiles": list(_tiles(metrics)),
        "curves": list(charts_of(content.curves)),
        "teacher_curves": list(charts_of(content.teacher_curves)),
        "finetuned": _finetuned(content),
        "best_epochs": _best_epochs(content),
        "figures": figures,
        "captions": _PICTURES,
        "further": [name for name in figures if name not in known],
        "fractions": fractions,
        "fraction_chart": share_chart(
            "Accuracy by share of labels",
            "share of the training labels, logarithmic",
            [
                (share, accuracy, low, high)
                for share, accuracy, low, high in fractions
                if low is not None and high is not None
            ],
        ),
        "robustness": _robustness(metrics),
        "confusion": _confusion(content.examples.confusion),
        "measures": [row for row in named if not is_shown(row[0], Place.ASIDE)],
        "aside": [row for row in named if is_shown(row[0], Place.ASIDE)],
        "unknown": unknown_names(metrics),
        "duration": sum(step.seconds or 0.0 for step in content.steps),
    }
    return page_environment().get_template("run.html").render(values)


def charts_of(curves: Mapping[str, Series]) -> Iterator[Chart]:
    """The curves in as few charts as compare like with like."""
    placed = {tag for one in CHARTS for tag in one.lines}
    for one in CHARTS:
        lines = {name: curves[tag] for tag, name in one.lines.items() if tag in curves}
        chart = line_chart(one.title, lines)
        if chart is not None:
            yield chart
    for tag in sorted(set(curves) - placed):
        chart = line_chart(tag.replace("_", " "), {tag: curves[tag]})
        if chart is not None:
            yield chart


def _tiles(metrics: Mapping[str, float]) -> Iterator[tuple[str, str, str]]:
    for name in names_at(Place.TILES):
        if name in metrics:
            bounds = bounds_of(name, metrics)
            yield (
                describe(name).title,
                value_text(name, metrics[name]),
                f"95 % interval {interval_text(name, *bounds)}" if bounds else "",
            )


def _label_fractions(
    metrics: Mapping[str, float],
) -> list[tuple[float, float, float | None, float | None]]:
    """(share, accuracy, lower and upper bound) by rising share."""
    rows = []
    for (share,), name in members("label_fraction/*/test_accuracy", metrics).items():
        bounds: tuple[float | None, float | None] = bounds_of(name, metrics) or (None, None)
        with contextlib.suppress(ValueError):
            rows.append((float(share), metrics[name], *bounds))
    return sorted(rows, key=lambda row: row[0])


def _finetuned(content: RunContent) -> dict[str, Any] | None:
    """Rows (what, accuracy, lower and upper bound), and charts that hold the trainings together."""
    metrics = content.metrics
    if "finetune/test_accuracy" not in metrics:
        return None
    names = {
        "fine-tuned": "finetune/test_accuracy",
        "fine-tuned, at its best validation epoch": "finetune/best_test_accuracy",
        "the same network from scratch": "finetune_scratch/test_accuracy",
        "from scratch, at its best validation epoch": "finetune_scratch/best_test_accuracy",
        "linear probe of the frozen encoder": "linear_probe/test_accuracy",
    }
    charts = []
    for title, tag in (
        ("training loss", "loss"),
        ("training accuracy", "accuracy"),
    ):
        lines = {
            start: curves[tag] for start, curves in content.finetune_curves.items() if tag in curves
        }
        charts.append(line_chart(title, lines))
    charts += _by_epoch(content)
    shares: dict[float, dict[str, tuple[float, float, float]]] = {}
    for start, prefix in _FINETUNED.items():
        for (share,), name in members(f"{prefix}/*/test_accuracy", metrics).items():
            accuracy = metrics[name]
            bounds = bounds_of(name, metrics) or (accuracy, accuracy)
            shares.setdefault(float(share), {})[start] = (accuracy, *bounds)
    return {
        "rows": [
            (what, metrics[name], *(bounds_of(name, metrics) or (None, None)))
            for what, name in names.items()
            if name in metrics
        ],
        "charts": [chart for chart in charts if chart is not None],
        "starts": [start for start in _FINETUNED if any(start in row for row in shares.values())],
        "shares": sorted(shares.items()),
    }


def _by_epoch(content: RunContent) -> Iterator[Chart | None]:
    """The networks with labels and the probe beside pretraining, after each of their epochs."""
    for split, named in _WATCHED.items():
        for measure in ("accuracy", "loss"):
            tag = f"{split}/{measure}"
            lines = {
                name: (np.arange(1, len(curves[tag][1]) + 1), curves[tag][1])
                for name, curves in _trainings(content).items()
                if tag in curves
            }
            if lines.keys() & content.finetune_curves.keys():
                yield line_chart(f"{named} {measure}", lines, unit="epoch")


def _trainings(content: RunContent) -> dict[str, Mapping[str, Series]]:
    """The curves of all that classifies, by what it is called."""
    # In this order in every chart.
    named: dict[str, Mapping[str, Series]] = {
        "from scratch": content.finetune_curves.get("from scratch", {})
    }
    of_probe = "online_probe/accuracy" in content.curves
    named["online probe" if of_probe else "pretraining"] = content.curves
    named["teacher"] = content.teacher_curves
    return {**named, **content.finetune_curves}


def _best_epochs(content: RunContent) -> list[tuple[str, str, float, float, int]]:
    """(what, split, accuracy after the last epoch, the largest, after which epoch)."""
    rows = []
    for name, curves in _trainings(content).items():
        for split, named in _WATCHED.items():
            values = curves.get(f"{split}/accuracy", (None, np.empty(0)))[1]
            if len(values) > 1 and np.isfinite(values).any():
                best = int(np.nanargmax(values))
                rows.append((name, named, float(values[-1]), float(values[best]), best + 1))
    return rows


def _robustness(metrics: Mapping[str, float]) -> dict[str, Any] | None:
    """Accuracy by corruption (row) and severity (column); None in a cell that was not measured."""
    cells: dict[str, dict[int, float]] = {}
    for (corruption, severity), name in members("robustness/*/*/accuracy", metrics).items():
        if severity.isdecimal():
            cells.setdefault(corruption, {})[int(severity)] = metrics[name]
    if not cells:
        return None
    severities = sorted({severity for row in cells.values() for severity in row})
    return {
        "severities": severities,
        "rows": [
            {
                "name": name.replace("_", " "),
                "cells": [row.get(severity) for severity in severities],
                "mean": sum(row.values()) / len(row),
            }
            for name, row in sorted(cells.items())
        ],
        "mean": metrics.get("robustness/mean_accuracy"),
        "teacher": metrics.get("teacher/robustness/mean_accuracy"),
    }


def _confusion(confusion: Confusion | None) -> dict[str, Any] | None:
    if confusion is None:
        return None
    counts, names = confusion.counts, confusion.class_names
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]
    pairs = [divmod(int(cell), len(names)) for cell in order]
    totals = counts.sum(axis=1)
    right = [
        (short(names[row]), int(counts[row, row]), int(totals[row]))
        for row in range(len(names))
        if totals[row]
    ]
    return {
        "names": [short(name) for name in names],
        "rows": counts.tolist() if len(names) <= _MATRIX_CLASSES else [],
        "totals": totals.tolist(),
        "pairs": [
            (short(names[row]), short(names[column]), int(wrong[row, column]), int(totals[row]))
            for row, column in pairs
            if wrong[row, column]
        ],
        "weakest": sorted(right, key=lambda one: (one[1] / one[2], one[0]))[:_CONFUSIONS],
        "wrong": int(wrong.sum()),
        "images": int(totals.sum()),
    }
