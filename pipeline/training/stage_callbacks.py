"""Callbacks of a run's trainings: those that its settings name, and those of its program."""

from __future__ import annotations

from typing import Any

from twofold.components.named_objects import import_named
from twofold.components.training.reporting.training_callbacks import build_callbacks
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.training.stage_configs import stage_configs

_KEY = "callbacks"


def check_callbacks(config: RunConfig) -> None:
    """Imports what a run's trainings will call, before anything that takes long.

    Raises:
        SettingsError: naming the setting, if it cannot be imported.

    """
    for prefix, stage in stage_configs(config).items():
        for name in stage.training.callbacks:
            import_named(name, f"{prefix}.{_KEY}")


def stage_callbacks(context: Context, prefix: str) -> list[tuple[str, Any]]:
    """Makes the callbacks of a training anew, with their names.

    Args:
        context: of the run; its own objects come after those that the setting names.
        prefix: of the training's settings, a key of ``stage_configs``.

    Raises:
        SettingsError: if one that the settings name cannot be made.

    """
    training = stage_configs(context.config)[prefix].training
    named = build_callbacks(training.callbacks, f"{prefix}.{_KEY}")
    return [*named, *((_name(one), one) for one in context.callbacks)]


def _name(callback: Any) -> str:
    return f"{type(callback).__module__}:{type(callback).__qualname__}"
