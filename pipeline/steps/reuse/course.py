"""Course of a training: the settings that it went on with, and from which step.

A training whose settings of ``Influence.COURSE`` or ``ROUNDING`` change goes on from its last
checkpoint with the new ones. ``run.json`` has what it began with and each change, with the step
from which it counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twofold.components.errors import (
    ConfigError,
    OtherConfigurationError,
    SettingsError,
    UsageError,
)
from twofold.components.training.continuing.influence import Influence, select
from twofold.components.training.continuing.phases import Phase, plan_pieces
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


@dataclasses.dataclass(frozen=True)
class Going:
    """How a training is about to begin, or to go on.

    Attributes:
        made_by: fingerprint of what its weights come from, with its course.
        facts: what is recorded of it.
        change: one line on the settings that change; empty where none does.
        further: whether it was finished, and is trained on.
        anew: whether its checkpoints are not gone on from, as they are of later steps.
        step: from which it goes on; 0 where it begins.

    """

    made_by: str
    facts: Mapping[str, Any]
    change: str = ""
    further: bool = False
    anew: bool = False
    step: int = 0


def plan_training(
    entry: Mapping[str, Any], begun: str, config: RunConfig, checkpoints: Path, *, update: bool
) -> Going:
    """Plans the course of a training.

    Args:
        entry: the record of the training before; empty where there is none.
        begun: fingerprint of what the training begins with.
        config: of the run.
        checkpoints: of the training.
        update: whether what was trained may be replaced.

    Raises:
        ConfigError: if the learning rate needs a choice.
        OtherConfigurationError: if more was trained than is configured.
        UsageError: if a finished training is to go on and has no checkpoint.

    """
    now = _settings(config.training)
    fresh = [{"step": 0, "settings": now}]
    begins = Going(_made_by(begun, fresh, config), {TRAINING: begun, "course": fresh})
    if training_fingerprint(entry) != begun:
        return begins
    found = newest_intact(checkpoints)
    before = recorded_course(entry, config)
    further = entry.get("status") == "done" and is_left(entry, config)
    trained = _trained(entry) if further else 0 if found is None else found.step
    per_epoch = _steps_per_epoch(entry, before)
    if _is_fewer(now["epochs"], trained, per_epoch, before):
        if update:
            return dataclasses.replace(begins, anew=True)
        raise OtherConfigurationError(
            f"{checkpoints.parent} has been trained longer than training.epochs={now['epochs']}, "
            f"{trained:,} steps: expected at least as many epochs; --name trains from the start "
            f"under a name of its own, and --update here, moving what is there to superseded/"
        )
    if found is None:
        if further and not update:
            raise UsageError(
                f"{checkpoints} holds no checkpoint that training could go on from to "
                f"training.epochs={now['epochs']}: expected one; --name trains from the start "
                f"under a name of its own, and --update here"
            )
        return dataclasses.replace(begins, further=further)
    course, change = before, ""
    if _changes(last_settings(course), now):
        course = [part for part in course if part["step"] < max(1, trained)]
        changed = _changes(last_settings(course), now)
        if changed:
            told = ", ".join(_describe(last_settings(course), changed))
            course = [*course, {"step": trained, "settings": changed}]
            stretched = per_epoch and _check_rate(config, course, per_epoch)
            rate = ", the cosine of the rate stretched to the new end" if stretched else ""
            change = f"goes on from step {trained:,} with {told}{rate}"
    made_by = _made_by(begun, course, config)
    if made_by == _made_by(begun, before, config):
        made_by = str(entry["fingerprint"])
    facts: dict[str, Any] = {TRAINING: begun, "course": course}
    if per_epoch is not None:
        # Until the step itself knows it.
        facts["details"] = {"steps_per_epoch": per_epoch}
    return Going(made_by, facts, change, further, step=found.step)


def is_left(entry: Mapping[str, Any], config: RunConfig) -> bool:
    """Tells whether a finished training is to be of another length than it has."""
    if not config.method.trains:
        return False
    before = recorded_course(entry, config)
    last, now = last_settings(before), _settings(config.training)
    epochs: int = now["epochs"]
    per_epoch = _steps_per_epoch(entry, before)
    if entry.get("details", {}).get("stopped_early") and per_epoch is not None:
        more = epochs * per_epoch - _trained(entry)
        patience = "early_stopping.patience"
        return more < 0 or (more > 0 and now.get(patience, 0) > last.get(patience, 0))
    return bool(epochs != last["epochs"])


def phases_of(course: Sequence[Part]) -> list[Phase]:
    """Returns what a course says of lengths and learning rates."""
    phases: list[Phase] = []
    for count, part in enumerate(course, start=1):
        settings = last_settings(course[:count])
        phase = Phase(
            part["step"],
            settings["epochs"],
            settings.get("continue_schedule"),
            settings.get("continue_learning_rate"),
        )
        if not phases or dataclasses.replace(phases[-1], step=phase.step) != phase:
            phases.append(phase)
    return phases


def recorded_course(entry: Mapping[str, Any], config: RunConfig) -> list[Part]:
    """Returns the course of a recorded training; one that recorded none kept its settings."""
    sections = {name: entry["inputs"][name] for name in ("training",) if "inputs" in entry}
    begun_with = _settings((fill_settings(sections, config) or config).training)
    first, *later = entry.get("course") or [{"step": 0, "settings": {}}]
    # Settings that were added since have their defaults.
    return [{"step": 0, "settings": begun_with | first["settings"]}, *map(dict, later)]


def _made_by(begun: str, course: Sequence[Part], config: RunConfig) -> str:
    decisive = list(_decisive(course, config.training))
    return fingerprint({TRAINING: begun, "course": decisive})


def _check_rate(config: RunConfig, course: Sequence[Part], per_epoch: int) -> bool:
    """Refuses a learning rate that needs a choice; tells whether one was chosen for the user."""
    phases = phases_of(course)
    try:
        last = plan_pieces(config.training, phases, per_epoch)[-1]
    except SettingsError as error:
        raise ConfigError(f"{config.name}: {error}") from None
    return last.kind == "stretched" and phases[-1].schedule is None


def _trained(entry: Mapping[str, Any]) -> int:
    """Returns after how many steps a training ended."""
    return int(entry.get("details", {}).get("steps", 0))


def _steps_per_epoch(entry: Mapping[str, Any], course: Sequence[Part]) -> int | None:
    """Returns how many steps an epoch has; None where it was not recorded and cannot be told."""
    recorded = entry.get("details", {}).get("steps_per_epoch")
    if recorded is not None:
        return int(recorded)
    whole, rest = divmod(_trained(entry), int(last_settings(course)["epochs"]))
    return whole if whole and not rest and entry.get("status") == "done" else None


def _is_fewer(epochs: int, trained: int, per_epoch: int | None, before: Sequence[Part]) -> bool:
    if per_epoch is not None:
        return epochs * per_epoch < trained
    return trained > 0 and epochs < int(last_settings(before)["epochs"])


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
