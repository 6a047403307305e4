"""Run page: read from the run's directory and its data set, and written."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from twofold.components import files
from twofold.components.data.store.manifest import REPORT_FILE, Manifest, load_manifest
from twofold.components.errors import ConfigError, DataError, EvaluationError
from twofold.components.evaluation.metrics import describe, value_text
from twofold.components.pages.charts import Series
from twofold.components.pages.run_page import Examples, RunContent, StepCost, render_run
from twofold.components.training.continuing.start_report import describe_start
from twofold.components.training.resuming.checkpoint_files import list_checkpoints
from twofold.pipeline.config import RunConfig, parse_config, to_yaml
from twofold.pipeline.reports.expected_results import expected_notes, expected_results
from twofold.pipeline.reports.printed_curve_report import printed_comparison
from twofold.pipeline.runs.record_format import RECORD
from twofold.pipeline.runs.run_context import Context, no_progress
from twofold.pipeline.runs.run_directory import (
    CONFIG,
    METRICS,
    RunDirectory,
)
from twofold.pipeline.runs.run_record import (
    RunRecord,
    changed_settings,
    flat,
    setting_text,
)
from twofold.pipeline.tensorflow_import import import_tensorflow

PAGE = "report.html"
# Below this many dimensions in use, an embedding holds next to nothing.
_COLLAPSED_RANK = 1.5


def write_run_report(record: RunRecord, datasets: str) -> Path:
    """Writes the page of a run into its directory.

    Args:
        record: of the run.
        datasets: where its data set is looked for; without it the page has no images.

    Returns:
        The page's file.

    """
    page = record.path / PAGE
    files.write_text(page, render_run(collect(record, datasets)))
    return page


def collect(record: RunRecord, datasets: str) -> RunContent:
    """Reads what the page of a run shows; what cannot be read is among its notes."""
    # Curves and images need it.
    import_tensorflow()
    notes = list(_notes(record))
    config = _config(record, notes)
    directory = files.join(datasets, record.dataset) if record.dataset else None
    manifest = _manifest(record, directory, notes)
    curves, teacher = record.curves(), record.curves("tensorboard-teacher")
    finetuned = _finetune_curves(record)
    examples = _examples(record, config, manifest, datasets, notes)
    return RunContent(
        name=record.name,
        lineage=list(_lineage(record)),
        changed=None
        if config is None
        else [
            (key, setting_text(value), setting_text(default))
            for key, value, default in changed_settings(config, RunConfig())
            if key != "name"
        ],
        configuration=_configuration_text(record, config),
        steps=[
            StepCost(
                name, str(entry.get("status")), entry.get("seconds"), str(entry.get("error", ""))
            )
            for name, entry in record.steps.items()
        ],
        metrics=record.metrics,
        held_out=_labelled(record, manifest),
        curves=curves,
        teacher_curves=teacher,
        finetune_curves=finetuned,
        figures=record.figures(),
        notes=notes,
        facts=list(_facts(record)),
        links=list(_links(record, directory if manifest is not None else None)),
        examples=examples,
        expected=expected_results(record, config),
        expected_notes=() if config is None else expected_notes(record, config),
        printed=printed_comparison(
            record, config, {"pretraining": curves, "teacher": teacher, **finetuned}
        ),
    )


def _finetune_curves(record: RunRecord) -> dict[str, Mapping[str, Series]]:
    """The curves of the trainings with labels that the run's metrics are of."""
    # Needs TensorFlow.
    from twofold.pipeline.steps.measures.fine_tuning_stage import CURVES, PREFIXES

    return {
        start: record.curves(folder)
        for start, folder in CURVES.items()
        if f"{PREFIXES[start]}/test_accuracy" in record.metrics
    }


def _config(record: RunRecord, notes: list[str]) -> RunConfig | None:
    try:
        return parse_config(record.configuration, str(record.path / RECORD), recorded=True)
    except ConfigError as error:
        notes.append(
            f"This Twofold cannot read the settings, so that no images are shown and no defaults "
            f"are told: {error}. They are another version's, or name what a program registered, "
            f"which has to make this page, too."
        )
        return None


def _configuration_text(record: RunRecord, config: RunConfig | None) -> str:
    if config is not None:
        return to_yaml(config)
    return "\n".join(f"{key}: {setting_text(value)}" for key, value in flat(record.configuration))


def _manifest(record: RunRecord, directory: str | None, notes: list[str]) -> Manifest | None:
    if directory is None:
        return None
    try:
        manifest = load_manifest(directory)
    except DataError as error:
        notes.append(f"The data set could not be opened, so that no images are shown: {error}.")
        return None
    if manifest.fingerprint != record.dataset_fingerprint:
        notes.append(
            f"The data set in {directory} is another one than the run was made from, so that no "
            "images are shown."
        )
        return None
    return manifest


def _examples(
    record: RunRecord,
    config: RunConfig | None,
    manifest: Manifest | None,
    datasets: str,
    notes: list[str],
) -> Examples:
    held_out, _ = record.held_out
    if config is None or manifest is None or held_out not in manifest.splits:
        return Examples()
    from twofold.pipeline.reports.run_examples import find_examples

    context = Context(
        config=config,
        run=RunDirectory(record.path, config, {}, update=True),
        datasets=datasets,
        beam_options=(),
        progress=no_progress,
        say=lambda line: None,
    )
    try:
        return find_examples(context, manifest, held_out)
    except (DataError, EvaluationError) as error:
        notes.append(f"The images could not be shown: {error}.")
        return Examples()


def _labelled(record: RunRecord, manifest: Manifest | None) -> int:
    """How many held-out images have a label, which accuracies are of."""
    name, images = record.held_out
    if manifest is None or name not in manifest.splits:
        return images
    return sum(manifest.splits[name].labels.values())


def _notes(record: RunRecord) -> Iterator[str]:
    for name, entry in record.steps.items():
        if entry.get("status") != "done":
            cause = f": {entry['error']}" if entry.get("error") else ""
            yield f"The step {name} did not finish ({entry.get('status')}){cause}."
        if entry.get("reused"):
            changed = ", ".join(entry["reused"].get("changed", ())) or "not recorded by then"
            yield (
                f"The result of the step {name} was made by other code and kept with --reuse; "
                f"modules that changed since: {changed}."
            )
    for alarm in record.alarms:
        yield _alarm_note(alarm)
    metrics = record.metrics
    if (
        metrics.get("prepare/duplicates_leaked")
        and record.configuration.get("data", {}).get("on_leakage") != "remove"
    ):
        leaked = int(metrics["prepare/duplicates_leaked"])
        yield (
            f"{leaked:,} training {'image resembles' if leaked == 1 else 'images resemble'} a "
            "held-out one, which makes held-out measures look better than they are; "
            "data.on_leakage=remove leaves such images out."
        )
    rank = metrics.get("embedding/effective_rank")
    if rank is not None and rank < _COLLAPSED_RANK:
        yield f"The embedding has collapsed: its effective rank is {rank:.3g}."
    revision = record.values.get("git_revision")
    if revision and str(revision).endswith("-dirty"):
        yield "The code had changes that were not committed, so that its revision does not tell it."


def _alarm_note(alarm: Mapping[str, Any]) -> str:
    done = {
        "warn": "went on",
        "stop": "was stopped",
        "rollback": f"went back to step {alarm['rolled_back_to']:,}, at a lower learning rate"
        if alarm["rolled_back_to"] is not None
        else "",
    }
    return (
        f"Alarm {alarm['name']}: at step {alarm['step']:,} the training {alarm['stage']} "
        f"{done[alarm['action']]}: {alarm['message']}."
    )


def _lineage(record: RunRecord) -> Iterator[tuple[str, str]]:
    values, steps = record.values, record.steps
    if values.get("recipe"):
        yield "recipe", str(values["recipe"])
    if record.dataset:
        yield "data set", record.dataset
    if record.dataset_fingerprint:
        yield "fingerprint of the data", record.dataset_fingerprint
    yield from _roles_of_images(record)
    if "seed" in record.configuration:
        yield "seed", str(record.configuration["seed"])
    for key, chosen in record.details("pretrain").get("automatic", {}).items():
        yield f"method.{key}", f"{setting_text(chosen['value'])}, chosen: {chosen['reason']}"
    if steps.get("pretrain", {}).get("status") == "done":
        yield "checkpoint", _checkpoint(record)
        yield "fingerprint of its inputs", str(steps["pretrain"]["fingerprint"])
    revision = values.get("git_revision")
    if values.get("twofold"):
        yield "Twofold", f"{values['twofold']}" + (f", revision {revision}" if revision else "")
    for package, version in sorted((values.get("versions") or {}).items()):
        yield package, str(version)
    if values.get("python"):
        yield "Python", str(values["python"])
    if values.get("machine"):
        yield "machine", str(values["machine"])


def _roles_of_images(record: RunRecord) -> Iterator[tuple[str, str]]:
    """Which images were reported on, and which decided what."""
    name, images = record.held_out
    if name is None:
        return
    yield "reported on", f"{name} split, {images:,} images"
    training = record.configuration.get("training", {})
    rules = ("early_stopping", "plateau", "keep_best")
    ruled = [rule for rule in rules if training.get(rule) is not None]
    if ruled:
        cut = record.details("pretrain").get("deciding_images")
        by = "validation split" if cut is None else f"{cut:,} images cut from the training images"
        yield f"decided {' and '.join(ruled)}", by
    chosen = record.details("evaluate").get("chosen", {})
    if chosen.get("on") is not None:
        part = "validation split" if chosen["on"] == "validation" else "part of the training images"
        yield "chose the settings of probe and kNN", f"{part}, {chosen['images']:,} images"


def _checkpoint(record: RunRecord) -> str:
    steps = record.details("pretrain").get("steps")
    after = f", after {steps:,} training steps" if isinstance(steps, int) else ""
    stored = list_checkpoints(record.path / "checkpoints")
    return f"checkpoints/{stored[0].path.name if stored else 'final'}{after}"


def _facts(record: RunRecord) -> Iterator[tuple[str, str]]:
    """What a run costs besides the seconds of its steps."""
    details, metrics = record.details("pretrain"), record.metrics
    if "parameters" in details:
        yield "parameters of the encoder", f"{details['parameters']:,}"
    if "steps" in details:
        yield "training steps", f"{details['steps']:,}"
    if "start_from" in details:
        yield "weights at the start", "; ".join(describe_start(details["start_from"]))
    for part in (record.steps.get("pretrain", {}).get("course") or ())[1:]:
        settings = (f"{key}={setting_text(value)}" for key, value in part["settings"].items())
        yield f"trained from step {part['step']:,} with", ", ".join(settings)
    rate = metrics.get("pretrain/images_per_second")
    if rate:
        name = "pretrain/images_per_second"
        yield describe(name).title, value_text(name, rate)
        batch = record.configuration.get("training", {}).get("batch_size")
        if batch:
            yield f"milliseconds a step of {batch:,} images", f"{1000 * batch / rate:,.1f}"
    if details.get("replicas", 1) > 1:
        yield "devices", f"{details['replicas']:,}"
    if "export/bytes" in metrics:
        size = metrics["export/bytes"]
        yield describe("export/bytes").title, value_text("export/bytes", size)


def _links(record: RunRecord, directory: str | None) -> Iterator[tuple[str, str]]:
    for file, text in ((CONFIG, "settings"), (METRICS, "measures"), (RECORD, "record")):
        if (record.path / file).exists():
            yield f"{text} ({file})", file
    # One that is in a bucket has no address beside the page.
    if directory is not None and (Path(directory) / REPORT_FILE).exists():
        page = Path(directory).resolve() / REPORT_FILE
        address = os.path.relpath(page, record.path.resolve())
        yield "report of the data set", urllib.parse.quote(Path(address).as_posix())
