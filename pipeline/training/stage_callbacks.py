"""Callbacks of a run's trainings: those that its settings name, and those of its program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twofold.components.named_objects import import_named
from twofold.components.training.reporting.training_callbacks import build_callbacks
from twofold.pipeline.config import RunConfig, TrainingSettings
from twofold.pipeline.runs.run_context import Context

_KEY = "callbacks"


def check_callbacks(config: RunConfig) -> None:
    """Imports what a run's trainings will call, before anything that takes long.

    Raises:
        SettingsError: naming the setting, if it cannot be imported.

    """
    for prefix, training in _trainings(config):
        for name in training.callbacks:
            import_named(name, f"{prefix}.{_KEY}")


def stage_callbacks(context: Context, prefix: str) -> list[tuple[str, Any]]:
    """Makes the callbacks of a training anew, with their names.

    Args:
        context: of the run; its own objects come after those that the setting names.
        prefix: of the training's settings: ``training`` or ``method.teacher.training``.

    Raises:
        SettingsError: if one that the settings name cannot be made.

    """
    training = dict(_trainings(context.config))[prefix]
    named = build_callbacks(training.callbacks, f"{prefix}.{_KEY}")
    return [*named, *((_name(one), one) for one in context.callbacks)]


def _trainings(config: RunConfig) -> Iterator[tuple[str, TrainingSettings]]:
    yield "training", config.training
    if config.method.teacher_stage is not None:
        yield "method.teacher.training", config.method.teacher_stage.training


def _name(callback: Any) -> str:
    return f"{type(callback).__module__}:{type(callback).__qualname__}"
