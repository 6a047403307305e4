"""Printed curves: what a recipe's source prints after each epoch, to draw beside a run's own."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class PrintedCurve:
    """A curve of a published run.

    Attributes:
        training: which of a run's trainings: pretraining, teacher, fine-tuned or from scratch.
        curve: what the run calls it: ``loss``, ``test/accuracy`` and so on.
        run: which of the published runs, from 1 up.
        values: after each epoch, from the first.

    """

    training: str
    curve: str
    run: int
    values: tuple[float, ...]


def read_printed_curves(name: str) -> tuple[PrintedCurve, ...]:
    """Reads the curves that stand in ``recipes/printed/NAME.csv``, a row per value.

    Raises:
        FileNotFoundError: if there is no such file.

    """
    path = resources.files("twofold.pipeline.recipes").joinpath("printed", f"{name}.csv")
    curves: dict[tuple[str, str, int], list[float]] = {}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        values = curves.setdefault((row["training"], row["curve"], int(row["run"])), [])
        if int(row["epoch"]) != len(values) + 1:
            raise ValueError(f"{path}: expected epoch {len(values) + 1}, found {row['epoch']}")
        values.append(float(row["value"]))
    return tuple(PrintedCurve(*key, tuple(values)) for key, values in curves.items())
