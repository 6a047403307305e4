"""Step runner: the steps of a run in their order, each unless it is finished."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

from twofold.components import files
from twofold.components.data.store.manifest import MANIFEST_FILE
from twofold.components.errors import StepError
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks import check_measurable
from twofold.pipeline.steps.fingerprints import step_inputs
from twofold.pipeline.tensorflow_import import import_tensorflow

STEPS = ("prepare", "pretrain", "evaluate", "export")


class Step(Protocol):
    """What the module of a step offers."""

    def run(self, context: Context, details: dict[str, Any]) -> dict[str, float]:
        """Does the work, fills in details for the record, and returns metrics."""


def run_steps(context: Context, until: str = STEPS[-1]) -> list[str]:
    """Runs the steps up to one, and leaves out those that were finished from the same inputs.

    Returns:
        The steps that ran.

    """
    ran = []
    for name in STEPS[: STEPS.index(until) + 1]:
        if name == "pretrain" and until != "pretrain" and not is_done(context, name):
            check_measurable(context.manifest())
        ran += [name] if _run_if_needed(context, name) else []
    return ran


def run_one_step(context: Context, name: str) -> list[str]:
    """Runs one step on the finished work of those before it.

    Returns:
        The step, if it ran; empty if it was finished from the same inputs.

    Raises:
        StepError: if an earlier step is not finished, or was finished from other inputs.

    """
    for earlier in STEPS[: STEPS.index(name)]:
        if not is_done(context, earlier):
            raise StepError(
                f"step {name} needs step {earlier}, which is not finished for this configuration "
                f"in {context.run.path}: run `twofold {earlier}` with the same arguments first"
            )
    return [name] if _run_if_needed(context, name) else []


def is_done(context: Context, name: str) -> bool:
    """Tells whether a step was finished from these inputs, and what it made is still there."""
    if not context.run.is_done(name, step_inputs(name, context)):
        return False
    if name == "prepare":
        return files.exists(files.join(context.dataset_directory, MANIFEST_FILE))
    made = {
        "pretrain": context.run.path / "checkpoints" / "final" / "weights.index",
        "evaluate": context.run.path / "embeddings",
        "export": context.run.path / "saved_model" / "1" / "saved_model.pb",
    }
    return made[name].exists()


def _run_if_needed(context: Context, name: str) -> bool:
    if is_done(context, name):
        context.say(f"{name}: finished before, reused")
        return False
    for later in STEPS[STEPS.index(name) + 1 :]:
        context.run.forget(later)
    # Imported when used: a run that has nothing to do need not wait for TensorFlow.
    import_tensorflow()
    step = cast(Step, importlib.import_module(f"{__package__}.{name}"))
    with context.run.record(name, step_inputs(name, context)) as entry:
        entry["metrics"] = step.run(context, entry["details"])
    context.say(f"{name}: done in {context.run.seconds(name):.1f} s")
    return True
