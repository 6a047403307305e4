"""Inspection of an exported model by `twofold inspect`, told line by line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import (
    bounds_of,
    byte_text,
    interval_text,
    is_shown,
    value_text,
)
from twofold.components.export.proof.inspection import Inspection, inspect
from twofold.components.export.saved_model.lineage import Lineage
from twofold.components.export.saved_model.version_directory import find_version

_NAMES = 12


def inspect_model(model: Path, *, out: Console) -> int:
    """Prints what an exported model is, and verifies it.

    Args:
        model: a version directory, or one of versions, of which the newest.
        out: takes the lines.

    Returns:
        The exit status: 0 for an intact model, 1 for a damaged one.

    Raises:
        ExportedModelError: if there is no such model.

    """
    inspection = inspect(find_version(model))
    for line in describe(inspection):
        out.print(escape(line))
    return 1 if inspection.damage else 0


def describe(inspection: Inspection) -> Iterator[str]:
    """What is printed of a model, line by line."""
    yield str(inspection.version)
    yield f"sha256 {inspection.checksum}"
    yield from _signatures(inspection)
    yield from _lineage(inspection)
    sizes = [f"{name} {byte_text(size)}" for name, size in inspection.sizes.items()]
    yield f"sizes: {', '.join(sizes)}"
    for file in inspection.runtimes:
        yield f"for {file.runtime}: {file.path}, {byte_text(file.bytes)}"
    for check in inspection.checks:
        outcome = {True: "passed", False: "FAILED", None: "not verified"}[check.passed]
        yield f"{outcome}: {check.name}: {check.detail}"
    count = len(inspection.damage)
    yield f"{count} problem{'' if count == 1 else 's'}: damaged" if count else "intact"


def _signatures(inspection: Inspection) -> Iterator[str]:
    yield "signatures"
    for name, signature in inspection.signatures.items():
        yield f"  {name} ({signature.method})"
        for key, tensor in signature.inputs.items():
            yield f"    takes {key} {tensor}{' or nothing' if tensor.optional else ''}"
        for key, tensor in signature.outputs.items():
            yield f"    gives {key} {tensor}"
    yield f"heads: {', '.join(inspection.heads) or 'none'}"


def _lineage(inspection: Inspection) -> Iterator[str]:
    lineage = inspection.lineage
    if lineage is None:
        return
    names = lineage.class_names
    shown = ", ".join(names[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
    yield f"classes: {len(names):,} ({shown})" if names else "classes: none"
    image = lineage.image
    yield f"pixels: {image['height']} x {image['width']} x {image['channels']}"
    yield from _origin(lineage)
    for name, value in sorted(lineage.metrics.items()):
        if is_shown(name, Place.ASIDE):
            continue
        bounds = bounds_of(name, lineage.metrics)
        interval = f" (95 % interval {interval_text(name, *bounds)})" if bounds else ""
        yield f"  {name}: {value_text(name, value)}{interval}"


def _origin(lineage: Lineage) -> Iterator[str]:
    data = lineage.data
    splits = ", ".join(f"{count:,} {name}" for name, count in sorted(data.images.items()))
    yield f"run: {lineage.configuration.get('name', 'not recorded')}"
    yield f"data: {data.name or 'not recorded'} {data.fingerprint[:16]}; {splits or 'no counts'}"
    yield f"licence of the data: {data.licence}"
    yield f"checkpoint: sha256 {lineage.checkpoint or 'not recorded'}"
    versions = ", ".join(f"{name} {value}" for name, value in lineage.versions.items() if value)
    yield f"made by: {versions or 'not recorded'}"
    where = f"{lineage.held_out_images:,} images of {lineage.held_out_split}"
    yield f"metrics, on {where if lineage.held_out_images else 'held-out images'}:"
