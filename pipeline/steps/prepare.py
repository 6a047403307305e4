"""Prepare step: from raw images to TFRecord shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold.components import files
from twofold.components.data.preparation.plan import find_previous
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.store.manifest import MANIFEST_FILE, REPORT_FILE, Manifest, read_code
from twofold.components.name_lists import list_names
from twofold.components.pages.dataset_page import render_report
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.config.data_source import preparation_settings
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.reuse.standing import NOT_COMPARED, choose_data_set, same_code


def run(context: Context, details: dict[str, Any]) -> dict[str, float]:
    """Prepares the data set in the shared folder, unless another run already did.

    Raises:
        Interruption: if the preparation was told to end.
        DataError: if the images cannot be prepared as the settings say.

    """
    chosen = choose_data_set(context)
    directory = files.join(context.datasets, chosen.name)
    settings = preparation_settings(context.config.data)
    info = context.source.info()
    if settings.full_check and files.exists(files.join(directory, MANIFEST_FILE)):
        context.say(NOT_COMPARED)
    with context.progress("prepare", info.items, "images") as show:
        try:
            manifest = prepare(
                context.source,
                directory,
                name=chosen.name,
                settings=settings,
                previous=find_previous(
                    context.datasets, info, settings, lambda one: _is_of_same_code(one, chosen.code)
                ),
                beam_options=context.beam_options,
                progress=show,
                render_page=render_report,
                code=chosen.code,
            )
        except Interruption as end:
            end.then = next(
                iter(getattr(end, "__notes__", ())), "the same command begins the preparation again"
            )
            raise
        show(info.items)
    details["dataset"] = chosen.name
    details["dataset_fingerprint"] = manifest.fingerprint
    for line in (*_lines(manifest, directory), *info.taken_as):
        context.say(line)
    counts, found = manifest.counts, manifest.duplicates
    searched = {"exact": found.exact, "near": found.near, "leaked": found.leaked}
    return {
        "prepare/read": counts.read,
        "prepare/written": counts.written,
        "prepare/rejected": counts.rejected,
        "prepare/removed_duplicates": counts.duplicates,
        **{f"prepare/duplicates_{k}": v for k, v in searched.items() if v is not None},
    }


def _is_of_same_code(directory: str, code: Mapping[str, str] | None) -> bool:
    """Tells whether a data set may be built upon: what other code made of an image is not taken."""
    found = read_code(directory)
    return code is None or (found is not None and same_code(found, code))


def _lines(manifest: Manifest, directory: str) -> list[str]:
    """What a person should know of a prepared data set."""
    counts, found = manifest.counts, manifest.duplicates
    splits = ", ".join(f"{split.images:,} {name}" for name, split in manifest.splits.items())
    lines = [f"{counts.written:,} images ({splits}) in {directory}"]
    if counts.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.reasons.items())
        lines.append(
            f"{counts.rejected:,} of {counts.read:,} images were rejected ({reasons}): "
            f"see {directory}/rejects.jsonl"
        )
    labels = [split.labels for split in manifest.splits.values()]
    lost = [name for name in manifest.class_names if not any(one.get(name) for one in labels)]
    if lost and counts.rejected:
        lines.append(f"no image is left of class {list_names(lost)}")
    if counts.repairs:
        repairs = ", ".join(f"{count:,} {repair}" for repair, count in counts.repairs.items())
        lines.append(f"repaired: {repairs}")
    alike = [
        f"{number:,} {what}"
        for number, what in (
            (found.exact, "with equal pixels"),
            (found.near, "alike"),
            (found.leaked, "in training that resemble a held-out one"),
            (found.conflicting_labels, "equal but labelled otherwise"),
        )
        if number
    ]
    if alike:
        left_out = f"; {counts.duplicates:,} left out" if counts.duplicates else ""
        lines.append(f"duplicates: {', '.join(alike)}{left_out}: see {directory}/{REPORT_FILE}")
    return lines
