"""Step runner: the steps of a run in their order, each unless it is finished."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

from twofold.components.errors import StepError
from twofold.pipeline.runs.record_format import RECORD
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.before_preparing import check_before_preparing
from twofold.pipeline.steps.checks.preparation_time import expected_preparation
from twofold.pipeline.steps.reuse.beginning import (
    accepted_facts,
    ask_about_other_code,
    plan_step,
)
from twofold.pipeline.steps.reuse.outputs import STEPS, describe_files
from twofold.pipeline.steps.reuse.planned_steps import describe_reuse, is_reused
from twofold.pipeline.steps.reuse.room import known_images, leave_other_images, make_room
from twofold.pipeline.steps.reuse.standing import Standing, describe_changes, examine
from twofold.pipeline.tensorflow_import import import_tensorflow
from twofold.pipeline.training.expected_time import LONG


class Step(Protocol):
    """What the module of a step offers."""

    def run(self, context: Context, details: dict[str, Any]) -> dict[str, float]:
        """Does the work, fills in details for the record, and returns metrics."""


def run_steps(context: Context, until: str = STEPS[-1]) -> list[str]:
    """Runs the steps up to one, and leaves out those that were finished from the same inputs.

    Returns:
        The steps that ran.

    Raises:
        OtherCodeError: if other code made one of them, and the user is to be asked.

    """
    names = STEPS[: STEPS.index(until) + 1]
    ask_about_other_code(context, names)
    ran = []
    for name in names:
        if name == "prepare" and until != "prepare" and not is_done(context, name):
            check_before_preparing(context, until)
            _tell_of_long_preparation(context)
        if name == "pretrain" and until != "pretrain" and not is_done(context, name):
            check_before_training(context)
        ran += [name] if _run_if_needed(context, name) else []
    restore_copies(context)
    return ran


def run_with_chief(context: Context) -> list[str]:
    """Takes part in the training of a chief, which does everything else of the run.

    Args:
        context: of a worker that is not the chief, in a directory of its own.

    Returns:
        The steps that ran.

    Raises:
        UsageError: if the worker is not like the chief.
        Interruption: if training was told to end, or lost a worker.

    """
    workers = context.workers
    assert workers is not None
    if not workers.exchange(None)[0]:
        context.say("there is nothing to train: the chief has finished weights")
        return []
    ran = [name for name in STEPS[:2] if _run_if_needed(context, name)]
    context.say(f"the weights are with {workers.cluster.name(0)}")
    return ran


def _announce_training(context: Context, name: str, *, needed: bool) -> None:
    """Lets the workers of a chief know whether they are needed."""
    workers = context.workers
    if name == "pretrain" and workers is not None and workers.cluster.is_chief:
        workers.exchange(needed)


def run_one_step(context: Context, name: str) -> list[str]:
    """Runs one step on the finished work of those before it.

    Returns:
        The step, if it ran; empty if it was finished from the same inputs.

    Raises:
        StepError: if an earlier step is not finished, or was finished from other inputs.
        OtherCodeError: if other code made one of them, and the user is to be asked.

    """
    earlier = STEPS[: STEPS.index(name)]
    ask_about_other_code(context, (*earlier, name))
    for one in earlier:
        standing = examine(context, one)
        if standing.kind == "code" and context.other_code == "reuse":
            _run_if_needed(context, one)
        elif standing.kind != "done":
            raise StepError(
                f"step {name} needs step {one}, which is not finished for this configuration "
                f"in {context.run.path}{_because(standing)}: run `twofold {one}` with the same "
                f"arguments first"
            )
    ran = [name] if _run_if_needed(context, name) else []
    restore_copies(context)
    return ran


def restore_copies(context: Context) -> None:
    """Writes anew what only repeats the record of a run, where it is lost or differs."""
    for name in context.run.mend():
        context.say(f"{context.run.path / name} differed from {RECORD}, written again")


def is_done(context: Context, name: str) -> bool:
    """Tells whether a step was finished from these inputs by this code, and is still intact."""
    return examine(context, name).kind == "done"


def _because(standing: Standing) -> str:
    if standing.kind == "code":
        return f" by this code ({describe_changes(standing.reasons)})"
    return f" ({'; '.join(standing.reasons)})" if standing.reasons else ""


def reuse_step(context: Context, name: str) -> bool:
    """Reuses a finished step where that can be, and reports it.

    Returns:
        Whether there is nothing left to do of it.

    """
    standing, run = examine(context, name), context.run
    if not is_reused(context, name, standing):
        return False
    if standing.kind == "code":
        # From now on its files are known, too.
        found = None if "files" in run.entry(name) else describe_files(run.path, name)
        run.accept(name, accepted_facts(context, name, standing), files=found)
    for line in describe_reuse(context, name, standing):
        context.say(line)
    return True


def _run_if_needed(context: Context, name: str) -> bool:
    if reuse_step(context, name):
        _announce_training(context, name, needed=False)
        return False
    if context.stop.requested:
        context.stop.end()
    standing, run, images = examine(context, name), context.run, known_images(context)
    for problem in standing.reasons if standing.kind == "damaged" else ():
        context.say(f"{name}: {problem}")
    plan = plan_step(context, name, standing)
    if standing.kind == "damaged" and name == "pretrain":
        run.set_aside(run.path / "checkpoints" / "final")
    make_room(context, name, plan.begun, plan.going)
    if plan.going is not None and plan.going.anew:
        run.forget(name)
    step = _load_step(name)
    _announce_training(context, name, needed=True)
    with run.record(name, plan.made_by, plan.facts) as entry:
        entry["metrics"] = step.run(context, entry["details"])
        entry["files"] = describe_files(run.path, name)
        if name == "prepare" and run.takes_over:
            leave_other_images(context, images)
    attempts = run.entry(name)["attempts"]
    counted = f" in {attempts} attempts" if attempts > 1 else ""
    context.say(f"{name}: done in {run.seconds(name):.1f} s{counted}")
    return True


def check_before_training(context: Context) -> None:
    """Refuses to train what could not be evaluated or exported as configured.

    Args:
        context: of a run whose images are prepared.

    Raises:
        TwofoldError: naming what is wrong.

    """
    # Imported when used: with TensorFlow, which training is about to need.
    import_tensorflow()
    from twofold.pipeline.steps.later_steps import check_later_steps

    check_later_steps(context)


def _tell_of_long_preparation(context: Context) -> None:
    seconds = expected_preparation(context.config, context.source)
    if seconds >= LONG:
        context.before_long(context, "preparation", seconds)


def _load_step(name: str) -> Step:
    # Imported when used: a run that has nothing to do need not wait for TensorFlow, and preparation
    # never needs it.
    if name != "prepare":
        import_tensorflow()
    return cast(Step, importlib.import_module(f"{__package__}.{name}"))
