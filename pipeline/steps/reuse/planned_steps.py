"""Plan of the steps that a run would take in its directory, in which nothing is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from twofold.components.training.resuming.checkpoint_files import newest_intact
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import SUPERSEDED
from twofold.pipeline.steps.reuse.beginning import Beginning, ask_about_other_code, plan_step
from twofold.pipeline.steps.reuse.course import changed_since, training_fingerprint
from twofold.pipeline.steps.reuse.outputs import STEPS, TEACHER
from twofold.pipeline.steps.reuse.room import plan_room
from twofold.pipeline.steps.reuse.standing import (
    NOT_COMPARED,
    Standing,
    describe_changes,
    examine,
    is_finished,
)

# What is left of a stage of training that has ended.
ENDED = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is left to do of a run.

    Attributes:
        steps: in their order.
        trained: of each stage of training that has begun, the steps that are not taken again;
            ``ENDED`` where that is all of them.

    """

    steps: tuple[str, ...]
    trained: Mapping[str, int | None] = dataclasses.field(default_factory=dict)


def plan_steps(context: Context, until: str) -> Plan:
    """Plans the steps up to one, as ``run_steps`` would take them, and changes nothing.

    Args:
        context: of the run, which is told what is reused, gone on with and moved aside; nothing
            where its directory holds nothing yet.
        until: the last step.

    Raises:
        UsageError: if ``run_steps`` would be refused.
        ConfigError: likewise.
        DataError: likewise.
        DirectoryInUseError: if there is something to do, and another process works there.

    """
    names = STEPS[: STEPS.index(until) + 1]
    ask_about_other_code(context, names)
    left: list[str] = []
    trained: Mapping[str, int | None] = {}
    for name in names:
        standing = examine(context, name)
        for line in describe_reuse(context, name, standing):
            context.say(line)
        if is_reused(context, name, standing):
            continue
        context.run.check_free()
        for problem in standing.reasons if standing.kind == "damaged" else ():
            context.say(f"{name}: {problem}")
        begins = plan_step(context, name, standing)
        left.append(name)
        if name == "prepare":
            if standing.kind == "damaged":
                # The same images again: what was made of them stands.
                continue
            if context.run.entry("pretrain"):
                context.say(
                    "pretrain: what was trained stays where the prepared images are those of "
                    "before, and is moved aside where they are others"
                )
        else:
            _tell_of_beginning(context, name, begins)
            trained = _trained(context, begins)
        left += names[names.index(name) + 1 :]
        break
    if context.run.has_record:
        context.say(f"left to do: {', '.join(left) or 'nothing'}")
    return Plan(tuple(left), trained)


def is_reused(context: Context, name: str, standing: Standing) -> bool:
    """Tells whether the result of a step is reused as it is."""
    if standing.kind == "code":
        return context.other_code == "reuse" and is_finished(context, name)
    return standing.kind == "done"


def describe_reuse(context: Context, name: str, standing: Standing) -> list[str]:
    """Says what is reused of a step; nothing where it has to be done."""
    if not is_reused(context, name, standing):
        return []
    entry = context.run.entry(name)
    if standing.kind == "code":
        changes = describe_changes(standing.reasons)
        return [f"{name}: finished before by other code ({changes}), reused"]
    accepted = entry.get("reused")
    made = f" (made by other code: {describe_changes(accepted['changed'])})" if accepted else ""
    lines = [f"{name}: finished before, reused{made}"]
    if name == "prepare" and context.config.data.full_check:
        lines.append(f"prepare: {NOT_COMPARED}")
    if name == "pretrain" and (changed := changed_since(entry, context.config)):
        lines.append(f"{name}: nothing is left to train with {', '.join(changed)}")
    return lines


def _tell_of_beginning(context: Context, name: str, begins: Beginning) -> None:
    going = begins.going
    if going is not None and going.step and not going.change:
        context.say(f"{name}: goes on from step {going.step:,}")
    folder = context.run.path / SUPERSEDED
    room = plan_room(context, name, begins.begun, going, folder=folder)
    if room is not None:
        context.say(room.line)


def _trained(context: Context, begins: Beginning) -> dict[str, int | None]:
    going, before = begins.going, context.run.entry("pretrain")
    if going is None or going.anew or training_fingerprint(before) != begins.begun:
        return {}
    if going.step:
        # A teacher comes first.
        return {TEACHER: ENDED, "pretrain": going.step}
    teacher = context.run.path / TEACHER
    if (teacher / "final").is_dir():
        return {TEACHER: ENDED}
    found = newest_intact(teacher)
    return {} if found is None else {TEACHER: found.step}
