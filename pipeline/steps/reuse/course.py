"""Course of a training: the settings that it went on with, and from which step.

A training whose settings of ``Influence.COURSE`` or ``ROUNDING`` change goes on from its last
checkpoint with the new ones. ``run.json`` has what it began with and each change, with the step
from which it counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.components.training.continuing.influence import Influence, select
from twofold.components.training.resuming.checkpoint_files import newest_intact
from twofold.components.training.settings import TrainingSettings
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_directory import TRAINING, fingerprint
from twofold.pipeline.runs.run_record import flat
from twofold.pipeline.steps.reuse.fingerprints import fill_settings

Part = dict[str, Any]


def training_fingerprint(entry: Mapping[str, Any]) -> str | None:
    """Returns what a recorded training began with, by which its checkpoints are known."""
    found = entry.get(TRAINING, entry.get("fingerprint"))
    return None if found is None else str(found)


def training_facts(
    entry: Mapping[str, Any], begun: str, config: RunConfig, checkpoints: Path
) -> tuple[str, dict[str, Any], str]:
    """Returns what a training is made from that is about to begin or to go on.

    Args:
        entry: the record of the training before; empty where there is none.
        begun: fingerprint of what the training begins with.
        config: of the run.
        checkpoints: of the training.

    Returns:
        The fingerprint of what its weights come from, with its course; facts for the record; and
        one line on what changes, empty where nothing does.

    """
    now, change = _settings(config.training), ""
    course: list[Part] = [{"step": 0, "settings": now}]
    before: list[Part] = []
    goes_on = training_fingerprint(entry) == begun
    if goes_on and (found := newest_intact(checkpoints)) is not None:
        before = course = recorded_course(entry, config)
        if _changes(last_settings(course), now):
            course = [part for part in course if part["step"] < max(1, found.step)]
            changed = _changes(last_settings(course), now)
            if changed:
                told = ", ".join(_describe(last_settings(course), changed))
                change = f"goes on from step {found.step:,} with {told}"
                course.append({"step": found.step, "settings": changed})
    decisive = list(_decisive(course, config.training))
    made_by = fingerprint({TRAINING: begun, "course": decisive})
    if before and decisive == list(_decisive(before, config.training)):
        made_by = str(entry["fingerprint"])
    return made_by, {TRAINING: begun, "course": course}, change


def recorded_course(entry: Mapping[str, Any], config: RunConfig) -> list[Part]:
    """Returns the course of a recorded training; one that recorded none kept its settings."""
    if entry.get("course"):
        return [dict(part) for part in entry["course"]]
    sections = {name: entry["inputs"][name] for name in ("training",) if "inputs" in entry}
    begun_with = fill_settings(sections, config) or config
    return [{"step": 0, "settings": _settings(begun_with.training)}]


def changed_since(entry: Mapping[str, Any], config: RunConfig) -> list[str]:
    """Describes the settings that count from here on and are others than training ended with."""
    course = select(config.training, {Influence.COURSE})
    before = last_settings(recorded_course(entry, config))
    return _describe(before, _changes(before, dict(flat(course))))


def last_settings(course: Sequence[Part]) -> dict[str, Any]:
    """Returns the settings that a course ends with, by their key paths below ``training``."""
    return {name: value for part in course for name, value in part["settings"].items()}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of now that were others before; not those that were not recorded."""
    return {name: one for name, one in now.items() if name in before and before[name] != one}


def _describe(before: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    return [
        f"training.{name}={_text(value)} (before: {_text(before[name])})"
        for name, value in changes.items()
    ]


def _settings(training: TrainingSettings) -> dict[str, Any]:
    return dict(flat(select(training, {Influence.COURSE, Influence.ROUNDING})))


def _decisive(course: Sequence[Part], training: TrainingSettings) -> Iterator[Part]:
    """Gives the parts of a course that change more than rounding."""
    rounding = dict(flat(select(training, {Influence.ROUNDING})))
    for part in course:
        settings = {name: one for name, one in part["settings"].items() if name not in rounding}
        if settings:
            yield {"step": part["step"], "settings": settings}


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
