"""Summary table of a study's accuracies for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import describe, names_at, value_text
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.studies.study_members import fewer_labels, label_name, study_of


def summary_table(config: RunConfig, metrics: Mapping[str, float]) -> Table:
    """Gives accuracy by encoder and share of the labels, and on corrupted images."""
    study, label = study_of(config), label_name(config)
    shares = [1.0, *reversed(fewer_labels(study))]
    table = Table(box=None, padding=(0, 2, 0, 0))
    # Names of a sweep are long, and differ in their ends.
    table.add_column(f"accuracy of {label}", overflow="fold")
    for share in shares:
        heading = "all labels" if share == 1 else f"{100 * share:.3g} %"
        table.add_column(heading, justify="right")
    further = [
        one
        for one in map(describe, names_at(Place.STUDY_SUMMARY))
        if any(f"study/{encoder}/{one.study_name}" in metrics for encoder in encoders_of(study))
    ]
    for one in further:
        table.add_column(one.column, justify="right")
    pixels = [] if study.pixels is None else [study.pixels]
    for encoder in (*pixels, *encoders_of(study)):
        name = f"study/{encoder}/{label}_accuracy"
        keys = [name if share == 1 else f"{name}@{share:g}" for share in shares]
        keys += [f"study/{encoder}/{one.study_name}" for one in further]
        table.add_row(
            encoder, *(value_text(key, metrics[key]) if key in metrics else "" for key in keys)
        )
    return table
