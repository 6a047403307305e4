"""Study page: read from the directories of the study and its members."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from twofold.components import files
from twofold.components.errors import RunDirectoryError
from twofold.components.pages.study_page import StudyContent, render_study
from twofold.pipeline.config import StudyConfig, parse_config, to_yaml
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.reports.expected_results import expected_notes, expected_results
from twofold.pipeline.reports.run_report import PAGE, write_run_report
from twofold.pipeline.runs.record_format import RECORD
from twofold.pipeline.runs.run_record import RunRecord, read_record
from twofold.pipeline.studies.study_members import STEP, label_name, study_of


def write_report(path: Path, datasets: str) -> Path:
    """Writes the page of a run or of a study into its directory.

    Args:
        path: the directory.
        datasets: where a run's data set is looked for; without it the page has no images.

    Returns:
        The page's file.

    Raises:
        RunDirectoryError: if the path holds no run with a finished step or an alarm.

    """
    record = read_record(path, or_alarms=True)
    return (
        write_study_report(record) if STEP in record.steps else write_run_report(record, datasets)
    )


def has_content(path: Path) -> bool:
    """Tells whether a directory holds a run of which there is something to report."""
    try:
        read_record(path, or_alarms=True)
    except RunDirectoryError:
        return False
    return True


def write_study_report(record: RunRecord) -> Path:
    """Writes the page of a finished study into its directory.

    Raises:
        ConfigError: if its settings are those of another version.

    """
    config = parse_config(record.configuration, str(record.path / RECORD), recorded=True)
    study, details = study_of(config), record.details(STEP)
    members = [read_record(record.path / name) for name in details["members"]]
    content = StudyContent(
        name=record.name,
        label=label_name(config),
        encoders=details["encoders"],
        metrics=record.metrics,
        reference=study.reference,
        seeds={
            encoder: {seed: curve["1"] for seed, curve in by_seed.items()}
            for encoder, by_seed in details["seeds"].items()
        },
        figures=record.figures(),
        figures_of_seed=int(details["figures_of_seed"]),
        lineage=list(_lineage(record, members[0])),
        configuration=to_yaml(config),
        members=[
            (
                member.name,
                urllib.parse.quote(f"{member.name}/{PAGE}")
                if (member.path / PAGE).exists()
                else None,
                sum(entry.get("seconds") or 0.0 for entry in member.steps.values()),
            )
            for member in members
        ],
        notes=list(_notes(study)),
        expected=expected_results(record, config),
        expected_notes=expected_notes(record, config),
    )
    page = record.path / PAGE
    files.write_text(page, render_study(content))
    return page


def _notes(study: StudyConfig) -> Iterator[str]:
    if len(study.seeds) == 1:
        yield "One seed: another one moves every number."
    if study.sweep:
        yield (
            f"{len(encoders_of(study))} combinations of settings are held side by side, by "
            f"accuracies of the reported images: the best of them, chosen by these, flatters "
            f"itself. Choose by images cut from training (data.validation_share, the online probe "
            f"on validation images), and report the chosen one by a run of its own."
        )


def _lineage(record: RunRecord, member: RunRecord) -> Iterator[tuple[str, str]]:
    values = record.values
    if values.get("recipe"):
        yield "recipe", str(values["recipe"])
    yield "data set", str(member.dataset)
    yield "fingerprint of the data", str(member.dataset_fingerprint)
    revision = values.get("git_revision")
    yield "Twofold", f"{values.get('twofold')}" + (f", revision {revision}" if revision else "")
    for package, version in sorted((values.get("versions") or {}).items()):
        yield package, str(version)
    yield "machine", str(values.get("machine"))
