"""Published curves of the recipe that was run, beside the run's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from twofold.components.errors import ConfigError
from twofold.components.pages.charts import Series
from twofold.components.pages.printed_comparison import (
    PrintedComparison,
    compare_with_printed,
    means_by_epoch,
)
from twofold.pipeline import recipes
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.printed_curves import PrintedCurve
from twofold.pipeline.reports.expected_results import changed_from_recipe
from twofold.pipeline.runs.run_record import RunRecord

_ORDER = ("pretraining", "teacher", "fine-tuned", "from scratch")
_AFTER_EACH_EPOCH = ("test/accuracy", "validation/accuracy")


def printed_comparison(
    record: RunRecord, config: RunConfig | None, trainings: Mapping[str, Mapping[str, Series]]
) -> PrintedComparison | None:
    """Holds a run's curves beside the printed ones of its recipe; None where there are none.

    Args:
        record: of the run.
        config: of the run; None where it could not be read.
        trainings: curves over steps, by training as ``PrintedCurve`` names them.

    """
    name = record.values.get("recipe")
    if config is None or name is None:
        return None
    try:
        printed, source = recipes.printed_curves(str(name))
    except ConfigError:
        return None
    curves: dict[str, Series] = {}
    values: dict[str, list[tuple[float, ...]]] = {}
    for one in sorted(printed, key=lambda curve: (_ORDER.index(curve.training), curve.run)):
        own = trainings.get(one.training, {})
        epochs = _epochs(config, one.training)
        name = _own_name(record, one.curve)
        if name not in own or epochs is None:
            continue
        title = _title(one)
        curves[title] = means_by_epoch(own[name], _steps_per_epoch(own, epochs))
        values.setdefault(title, []).append(one.values)
    if not curves:
        return None
    return dataclasses.replace(
        compare_with_printed(curves, values), notes=tuple(_notes(source, config))
    )


def _own_name(record: RunRecord, curve: str) -> str:
    """What a run calls a printed curve; the reported split of a stand-in may not be test."""
    reported, _ = record.held_out
    split, _, measure = curve.rpartition("/")
    return f"{reported}/{measure}" if split == "test" and reported else curve


def _notes(source: str, config: RunConfig) -> list[str]:
    changed = changed_from_recipe(source, (), config)
    if not changed:
        return []
    return [
        f"This run is a stand-in: it differs from {source}, which is the published one, in "
        f"{'; '.join(changed)}."
    ]


def _title(curve: PrintedCurve) -> str:
    name = curve.curve.replace("/", " ").replace("_", " ")
    return name if curve.training == "pretraining" else f"{curve.training}: {name}"


def _epochs(config: RunConfig, training: str) -> float | None:
    if training == "pretraining":
        return config.training.epochs
    if training == "teacher":
        teacher = config.method.teacher_stage
        return None if teacher is None else teacher.training.epochs
    return config.evaluation.finetune_epochs


def _steps_per_epoch(curves: Mapping[str, Series], epochs: float) -> float:
    for name in _AFTER_EACH_EPOCH:
        if name in curves and len(curves[name][0]):
            return float(curves[name][0][0])
    return max(float(steps[-1]) for steps, _ in curves.values() if len(steps)) / epochs
