"""Hyperparameters of runs, as TensorBoard tells runs apart by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api

from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import describe, names_at
from twofold.components.training.tensorboard.scalar_tags import tag_of
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_record import RunRecord, flat, setting_text

Value = bool | int | float | str

# The folder of the final evaluation's event files within those of a run, and its group of scalars.
EVALUATION = "evaluation"
RESULTS = "results"
# The other sections are of formats; of these, some settings choose no result.
_SECTIONS = ("seed", "data", "views", "second_views", "probe_views", "encoder", "method")
_AFTER = ("training", "evaluation")
_NOT_OF_RESULTS = tuple(
    f"training.{name}"
    for name in ("tensorboard.", "profile_steps", "checkpoint_", "log_every", "steps_per_call")
)
# Curves beside which a run is looked at before it is evaluated.
_CURVES = ("loss", "validation/accuracy", "test/accuracy")


def hyperparameters(configuration: Mapping[str, Any]) -> dict[str, Value]:
    """Gives the settings of a run that its results may depend on, as plain values.

    Args:
        configuration: its settings, nested, as JSON values.

    """
    return {
        key: value if isinstance(value, bool | int | float) else setting_text(value)
        for key, value in flat(configuration)
        if key.partition(".")[0] in (*_SECTIONS, *_AFTER) and not key.startswith(_NOT_OF_RESULTS)
    }


def compared(records: Sequence[RunRecord]) -> summary_pb2.Summary:
    """Says by which settings and measures runs are compared, for TensorBoard.

    Settings are those in which the runs differ, or a single run from the defaults; measures are
    those that the command line prints, and the loss.

    Args:
        records: of the runs, at least one.

    """
    found = [hyperparameters(record.configuration) for record in records]
    held_to = found if len(found) > 1 else [*found, hyperparameters(_defaults())]
    keys = dict.fromkeys(key for values in found for key in values)
    # A setting that some runs do not have is that of their method, encoder or version.
    differing = [
        key for key in keys if len({repr(values[key]) for values in held_to if key in values}) > 1
    ]
    measured = {name for record in records for name in record.metrics}
    titles = {
        (EVALUATION, f"{RESULTS}/{name}"): describe(name).title
        for name in names_at(Place.HEADLINE)
        if name in measured and not name.startswith("pretrain/")
    }
    titles |= {
        ("", tag_of(curve)): describe(f"pretrain/{curve}").title
        for curve in _CURVES
        if f"pretrain/{curve}" in measured
    }
    summary: summary_pb2.Summary = api.hparams_config_pb(
        [api.HParam(key, _domain([values.get(key) for values in found])) for key in differing],
        [
            api.Metric(tag, group=group or None, display_name=title)
            for (group, tag), title in titles.items()
        ],
    )
    return summary


def _defaults() -> dict[str, Any]:
    return RunConfig().model_dump(mode="json")


def _domain(values: Sequence[Value | None]) -> Any:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        numbers = [float(value) for value in known]
        return api.RealInterval(min(numbers), max(numbers))
    if all(isinstance(value, bool) for value in known):
        return api.Discrete(sorted({bool(value) for value in known}))
    return api.Discrete(sorted({str(value) for value in known}))
