"""Promotion and rollback of served versions: who may be served, decided and recorded.

A gate lets through what is not worse than what is served. A model that is a little worse, by less
than its held-out images can tell, passes: with few images much passes, and many such steps can add
up to a loss that none of them shows. The record of the decisions tells.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from twofold.components.errors import ExportedModelError, ServingRootError
from twofold.components.evaluation.confidence_intervals import binomial_interval
from twofold.components.evaluation.metric_catalogue import Direction, Place, Unit
from twofold.components.evaluation.metrics import BOUNDS, describe, names_at
from twofold.components.evaluation.run_comparison import (
    LEVEL,
    Difference,
    Group,
    MeasuredRun,
    compare,
)
from twofold.components.export.proof.inspection import Inspection, inspect, verify_files
from twofold.components.export.registry.serving_root import ServingRoot, open_root
from twofold.components.export.saved_model.lineage import Lineage, read_lineage
from twofold.components.export.saved_model.signature_contract import (
    Signature,
    breaking_changes,
    read_contract,
    reshaping_additions,
)
from twofold.components.export.saved_model.version_directory import (
    checksum_of,
    file_checksums,
    find_version,
)
from twofold.pipeline.runs.comparable_measures import Measured, differing_conditions

# Of these the first that both models have is held, where none is named.
DEFAULT_METRICS = tuple(names_at(Place.GATE))
LATENCY_RUNS = 50

# Of an accuracy times the number of images, how far it may be from a whole number.
_WHOLE = 1e-6


@dataclasses.dataclass(frozen=True)
class Requirements:
    """What is asked of a candidate.

    Attributes:
        metrics: those that it must not be worse in; empty for the first of ``DEFAULT_METRICS``.
        max_latency_ms: of the median answer to one image; None for any.
        breaking: whether it may break callers of what is served.
        force: whether it is published whatever it is like.

    """

    metrics: tuple[str, ...] = ()
    max_latency_ms: float | None = None
    breaking: bool = False
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Served:
    """What is served now, as its files tell it."""

    number: int
    checksum: str
    signatures: Mapping[str, Signature]
    lineage: Lineage | None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        metrics: the metrics that were compared.
        reasons: against the candidate, one sentence each; none lets it through.
        notes: what does not stand in its way and should be known.

    """

    metrics: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


def promote(
    model: Path, root: Path, requirements: Requirements, *, out: Console, errors: Console
) -> int:
    """Publishes a model under the next number if it passes, and records the decision either way.

    The decision is recorded before it is carried out, so that none is missing; if carrying it out
    fails, that is recorded as well.

    Args:
        model: the candidate: a version directory, or one of versions, of which the newest.
        root: the directory that TensorFlow Serving watches; made where it is missing.
        requirements: what is asked of it.
        out: takes what was found.
        errors: takes the reasons of a refusal.

    Returns:
        The exit status: 0 for a published model, 1 for a refused one.

    Raises:
        ValueError: if there is no such model, the root cannot be used, or a metric is not known.

    """
    for name in requirements.metrics:
        _is_more_better(name)
    version = find_version(model).resolve()
    with open_root(root, create=True) as opened:
        if version.is_relative_to(opened.path.resolve()):
            raise ServingRootError(f"{model} is in {root} already: expected a model beside it")
        entry: dict[str, Any] = {"candidate": str(version)}
        if requirements.force:
            checksum = checksum_of(file_checksums(version))
            verdict = Verdict(DEFAULT_METRICS, (), ("the gate was skipped",))
            lineage = _lineage_if_readable(version)
        else:
            inspection = inspect(version, LATENCY_RUNS)
            checksum, lineage = inspection.checksum, inspection.lineage
            verdict = _judge(inspection, opened, requirements)
            entry["latency_ms"] = inspection.answers.latency_ms
        entry |= {
            "checksum": checksum,
            "current_version": opened.current,
            "figures": _recorded_metrics(verdict.metrics, lineage, opened),
            "reasons": list(verdict.reasons),
            "notes": list(verdict.notes),
        }
        if verdict.reasons:
            opened.record("refused", {"version": None, **entry})
            lines = "".join(f"\n  {reason}" for reason in verdict.reasons)
            errors.print(escape(f"error: {version} is not promoted to {root}:{lines}"))
            return 1
        number = opened.next_number()
        entry = {"version": number, **entry}
        opened.record("forced" if requirements.force else "promoted", entry)
        try:
            opened.publish(version, number, checksum)
        except BaseException as error:
            opened.record("failed", {**entry, "reasons": [f"{type(error).__name__}: {error}"]})
            raise
    for note in verdict.notes:
        out.print(escape(note))
    out.print(escape(f"{version} is version {number} in {root}"))
    return 0


def rollback(root: Path, to: int | None, *, out: Console) -> None:
    """Makes an earlier version the served one again, and records it.

    The versions above it are moved to ``withdrawn/`` within the root. A move is one rename: nothing
    is copied when time matters most, the earlier version keeps the number by which metrics and
    pinned callers know it, and a server that starts anew, or serves all versions, does not find the
    bad one. Publishing the earlier one again under a higher number would have neither. A server
    with TensorFlow Serving's default policy keeps the bad version until the earlier one is loaded.
    Nothing is deleted, and ``to`` may name a withdrawn version, which undoes a rollback.

    The move comes first and its record after, since a full disk must not keep a bad version in.

    Args:
        root: the directory that TensorFlow Serving watches.
        to: the version to serve; None for the one before the current.
        out: takes what was done.

    Raises:
        ServingRootError: if there is no such version, it is served already, or it is damaged.

    """
    with open_root(root) as opened:
        current = opened.current
        if current is None:
            raise ServingRootError(f"{root} has no version to roll back from")
        if to is None:
            to = max((number for number in opened.versions if number < current), default=None)
            if to is None:
                raise ServingRootError(
                    f"{root} has no version before {current}: name a withdrawn one with --to, of "
                    f"which there are {', '.join(map(str, sorted(opened.withdrawn))) or 'none'}"
                )
        if to == current:
            raise ServingRootError(f"version {to} of {root} is the one that is served")
        version = opened.versions.get(to) or opened.withdrawn.get(to)
        if version is not None:
            damage = [check.detail for check in verify_files(version) if check.passed is False]
            if damage:
                raise ServingRootError(
                    f"version {to} of {root} is damaged ({'; '.join(damage)}): name another with "
                    f"--to"
                )
        withdrawn = opened.go_back_to(to)
        served = opened.path / str(to)
        entry = {
            "version": to,
            "from_version": current,
            "withdrawn": withdrawn,
            "checksum": checksum_of(file_checksums(served)),
            "figures": _recorded_metrics(DEFAULT_METRICS, _lineage_if_readable(served), opened),
            "reasons": [],
        }
        opened.record("rolled_back", entry)
    moved = f"; withdrawn: {', '.join(map(str, withdrawn))}" if withdrawn else ""
    out.print(escape(f"version {to} of {root} is the newest again{moved}"))


def _judge(candidate: Inspection, root: ServingRoot, requirements: Requirements) -> Verdict:
    reasons = [*candidate.damage, *candidate.unverified]
    notes: list[str] = []
    reasons += _latency_reasons(candidate, requirements.max_latency_ms)
    reasons += _withdrawn_reasons(candidate.checksum, root)
    metrics = requirements.metrics
    try:
        served = _read_served(root)
    except ExportedModelError as error:
        reasons.append(f"what is served cannot be compared with: {error}")
        served = None
    if served is not None:
        if served.checksum == candidate.checksum:
            reasons.append(f"it is version {served.number} already, file by file")
        breaking = _contract_reasons(served, candidate)
        (notes if requirements.breaking else reasons).extend(breaking)
        notes += reshaping_additions(served.signatures, candidate.signatures)
        metrics = metrics or _common_metrics(candidate.lineage, served.lineage)
        for name in metrics:
            held, fine = _hold(name, candidate.lineage, served)
            (notes if fine else reasons).append(held)
        if not metrics:
            reasons.append(
                f"it has no metric in common with version {served.number} among "
                f"{', '.join(DEFAULT_METRICS)}: name one with --metric"
            )
        notes += _data_notes(candidate.lineage, served)
    elif metrics and root.current is None:
        reasons += [f"it records no {one}" for one in metrics if not _has(candidate.lineage, one)]
    return Verdict(metrics or DEFAULT_METRICS, tuple(reasons), tuple(notes))


def _read_served(root: ServingRoot) -> Served | None:
    number = root.current
    if number is None:
        return None
    version = root.versions[number]
    return Served(
        number=number,
        checksum=checksum_of(file_checksums(version)),
        signatures=read_contract(version),
        lineage=read_lineage(version),
    )


def _latency_reasons(candidate: Inspection, limit: float | None) -> Iterator[str]:
    latency = candidate.answers.latency_ms
    if limit is None or not candidate.answers.loaded:
        return
    if latency is None:
        yield "its latency was not measured: it answers no recorded request to serving_default"
    elif latency > limit:
        yield (
            f"it answers one image in {latency:.3g} ms (median of {candidate.answers.runs}), and "
            f"--max-latency-ms is {limit:g}"
        )


def _withdrawn_reasons(checksum: str, root: ServingRoot) -> Iterator[str]:
    for number, path in sorted(root.withdrawn.items()):
        if checksum_of(file_checksums(path)) == checksum:
            yield (
                f"it was withdrawn as version {number}: `twofold rollback --to {number}` brings it "
                f"back"
            )


def _contract_reasons(served: Served, candidate: Inspection) -> Iterator[str]:
    for change in breaking_changes(served.signatures, candidate.signatures):
        yield f"it breaks callers of version {served.number}: {change}"
    before = served.lineage.class_names if served.lineage is not None else ()
    after = candidate.lineage.class_names if candidate.lineage is not None else ()
    if before and after and before != after:
        yield (
            f"it breaks callers of version {served.number}: its classes are others, or in another "
            f"order"
        )


def _data_notes(candidate: Lineage | None, served: Served) -> Iterator[str]:
    if candidate is None or served.lineage is None:
        return
    if candidate.data.fingerprint != served.lineage.data.fingerprint:
        yield (
            f"its metrics are on another data set than those of version {served.number}: the two "
            f"say little about each other"
        )


def _common_metrics(candidate: Lineage | None, served: Lineage | None) -> tuple[str, ...]:
    both = (name for name in DEFAULT_METRICS if _has(candidate, name) and _has(served, name))
    return tuple(name for name, _ in zip(both, range(1), strict=False))


def _hold(name: str, candidate: Lineage | None, served: Served) -> tuple[str, bool]:
    """Says how a metric compares, and whether it is not worse by more than chance explains."""
    if candidate is None or not _has(candidate, name):
        return f"it records no {name}", False
    if served.lineage is None or not _has(served.lineage, name):
        return f"version {served.number} records no {name} to hold it to", False
    # Of other images a note tells; they are no reason to keep what is served forever.
    differing = differing_conditions(name, _measured(served.lineage), _measured(candidate))
    settings = [key for key in differing if not key.endswith(" images")]
    if settings:
        return (
            f"{name} is not the same thing as that of version {served.number}: other "
            f"{', '.join(settings[:3])}",
            False,
        )
    difference = _difference(name, served.lineage, candidate)
    pair = (
        f"{name} is {candidate.metrics[name]:.4g}, and {served.lineage.metrics[name]:.4g} of "
        f"version {served.number}"
    )
    change = candidate.metrics[name] - served.lineage.metrics[name]
    loss = -change if _is_more_better(name) else change
    test = difference.how
    if difference.p is not None:
        test += f", p = {difference.p:.2g}, expected at least {LEVEL}"
    if loss <= 0:
        return f"{pair}: not worse", True
    if difference.real is None:
        return f"{pair}: worse, and there is no interval to tell whether by chance", False
    if difference.real:
        return f"{pair}: worse by more than chance explains ({test})", False
    return f"{pair}: worse by no more than chance explains ({test})", True


def _measured(lineage: Lineage) -> Measured:
    return Measured(
        lineage.configuration,
        lineage.data.fingerprint,
        lineage.held_out_split,
        lineage.held_out_images,
    )


def _difference(name: str, served: Lineage, candidate: Lineage) -> Difference:
    groups = [
        Group(title, (MeasuredRun(title, _with_interval(name, one), one.held_out_images),))
        for title, one in (("served", served), ("candidate", candidate))
    ]
    row = next(row for row in compare(groups) if row.name == name)
    difference = row.differences[1]
    # Both have the metric.
    assert difference is not None
    return difference


def _with_interval(name: str, lineage: Lineage) -> dict[str, float]:
    """A metric with its recorded interval, or with that of a share of the held-out images."""
    keys = (name, *(f"{name}{end}" for end in BOUNDS))
    metrics = {key: lineage.metrics[key] for key in keys if key in lineage.metrics}
    total, value = lineage.held_out_images, lineage.metrics[name]
    right = round(value * total)
    is_share = describe(name).unit is Unit.SHARE and total > 0 and 0 <= value <= 1
    is_counted = is_share and name.endswith("/test_accuracy")
    if len(metrics) == 1 and is_counted and abs(value * total - right) < _WHOLE * total:
        low, high = binomial_interval(right, total)
        metrics |= dict(zip((f"{name}{end}" for end in BOUNDS), (low, high), strict=True))
    return metrics


def _has(lineage: Lineage | None, name: str) -> bool:
    return lineage is not None and math.isfinite(lineage.metrics.get(name, math.nan))


def _is_more_better(name: str) -> bool:
    direction = describe(name).direction
    if direction is not Direction.NONE:
        return direction is Direction.HIGHER
    raise ServingRootError(
        f"--metric {name}: it is not known whether more or less of it is better; expected a metric "
        f"such as {', '.join(DEFAULT_METRICS)} or calibration/ece"
    )


def _lineage_if_readable(version: Path) -> Lineage | None:
    try:
        return read_lineage(version)
    except ExportedModelError:
        return None


def _recorded_metrics(
    metrics: tuple[str, ...], candidate: Lineage | None, root: ServingRoot
) -> dict[str, dict[str, float]]:
    current = None if root.current is None else _lineage_if_readable(root.versions[root.current])
    return {
        title: {
            key: lineage.metrics[key]
            for name in metrics
            for key in (name, *(f"{name}{end}" for end in BOUNDS))
            if _has(lineage, key)
        }
        | {"held_out_images": lineage.held_out_images}
        for title, lineage in (("candidate", candidate), ("current", current))
        if lineage is not None
    }
