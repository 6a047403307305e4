"""Beginning of a step: what it is made from or goes on from, and what it must not replace."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from twofold.components import files
from twofold.components.errors import DataError, OtherCodeError, UsageError
from twofold.components.training.resuming.checkpoint_files import has_checkpoint
from twofold.pipeline.runs.code_fingerprint import code_digest
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.reuse.course import Going, plan_training, training_fingerprint
from twofold.pipeline.steps.reuse.fingerprints import (
    code_facts,
    step_code,
    step_facts,
    step_inputs,
)
from twofold.pipeline.steps.reuse.outputs import STEPS, TEACHER, from_step
from twofold.pipeline.steps.reuse.standing import (
    Standing,
    choose_data_set,
    describe_changes,
    examine,
    goes_on,
    is_finished,
)
from twofold.pipeline.steps.reuse.start_source import changed_start, has_other_start

# Seconds of work that is repeated without a question to the user, where its result is damaged.
_SOON = 60.0
# Keys of a step's record.
_MADE_FROM = ("inputs", "code", "source", "reused")


@dataclasses.dataclass(frozen=True)
class Beginning:
    """How a step is about to begin.

    Attributes:
        begun: fingerprint of what it is made from; of training, of what that began with.
        made_by: fingerprint that is recorded of its result.
        facts: what else is recorded of what it is made from.
        going: how training begins or goes on; None of another step.

    """

    begun: str
    made_by: str
    facts: Mapping[str, Any]
    going: Going | None = None


def plan_step(context: Context, name: str, standing: Standing) -> Beginning:
    """Plans a step that is to run, and changes nothing.

    Args:
        context: of the run, which is told what is gone on with.
        name: of the step; those before it are finished.
        standing: of the step.

    Raises:
        ConfigError: if a longer training needs a learning rate to be chosen.
        DataError: if its data set is damaged.
        OtherCodeError: if a finished training on other images would be replaced.
        OtherConfigurationError: if more was trained than is wanted now.
        UsageError: if a damaged training has nothing to go on from.

    """
    facts, begun = step_facts(name, context), step_inputs(name, context)
    before = context.run.entry(name)
    checkpoints = context.run.path / "checkpoints"
    if standing.kind == "code" and context.other_code == "reuse":
        changes = describe_changes(standing.reasons)
        context.say(f"{name}: begun by other code ({changes}), gone on with")
        facts, begun = _as_begun(before)
        facts["reused"] = accepted_facts(context, name, standing)
    if standing.kind == "damaged":
        _check_repair(context, name)
        if name == "pretrain" and has_checkpoint(checkpoints):
            # It goes on from what the same code made, or other code whose result was accepted.
            facts, begun = _as_begun(before)
    if standing.kind == "open" and name == "prepare" and is_finished(context, name):
        _refuse_to_replace(context, name)
    if standing.kind == "open" and name == "pretrain" and training_fingerprint(before) != begun:
        if goes_on(context, name):
            # Begun by other code, which was accepted.
            facts, begun = _as_begun(before)
        else:
            _refuse_to_replace(context, name)
    if name == "prepare":
        made_by, facts = _data_set_facts(context, facts)
        return Beginning(begun, made_by, facts)
    if name != "pretrain":
        return Beginning(begun, begun, facts)
    update = context.other_code == "update"
    going = plan_training(before, begun, context.config, checkpoints, update=update)
    if going.change:
        context.say(f"{name}: {going.change}")
    since: Mapping[str, Any] = {}
    if going.step and (since := changed_start(context)):
        context.say(
            f"{name}: training.start_from={context.config.training.start_from} holds other weights "
            f"than this training took: it goes on from its own checkpoint"
        )
    return Beginning(begun, going.made_by, {**facts, **since, **going.facts}, going)


def accepted_facts(context: Context, name: str, standing: Standing) -> dict[str, Any]:
    """Returns what is recorded of a result of other code that is reused."""
    return {**step_facts(name, context), "changed": list(standing.reasons)}


def _as_begun(before: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Returns the facts and the fingerprint of the training that a record is of."""
    facts = {key: before[key] for key in _MADE_FROM if key in before}
    return facts, str(training_fingerprint(before))


def ask_about_other_code(context: Context, names: Sequence[str]) -> None:
    """Refuses to begin where the user has to say what becomes of the results of other code."""
    if context.other_code != "ask":
        return
    found = []
    for name in names:
        standing = examine(context, name)
        if standing.kind == "code":
            found.append((name, standing.reasons))
        elif standing.kind != "done":
            break
    if found:
        listed = "; ".join(f"{name} ({describe_changes(changed)})" for name, changed in found)
        raise OtherCodeError(
            f"{context.run.path} holds results of other code: {listed}: keep them with --reuse, or "
            f"{_replacement(context, found[0][0])}"
        )


def _replacement(context: Context, first: str) -> str:
    """Says which steps an update does again, that one and those after it, and what they took."""
    run, names = context.run, from_step(first) if first in STEPS else (first,)
    costs = ", ".join(
        f"{one} {rough_duration(run.seconds(one))}" for one in names if run.entry(one)
    )
    return (
        f"do them and those after them again with --update, which moves what is there to "
        f"{run.superseded.parent} (replaced, with what each took: {costs})"
    )


def _refuse_to_replace(context: Context, first: str) -> None:
    """Refuses to replace a training by one on other images, without being asked to.

    Raises:
        OtherCodeError: naming what it took.

    """
    run = context.run
    begun = any(has_checkpoint(run.path / folder) for folder in ("checkpoints", TEACHER))
    if run.takes_over or not (begun or run.entry("pretrain").get("status") == "done"):
        return
    kept = "keep it with --reuse, " if has_other_start(context) else ""
    raise OtherCodeError(
        f"{run.path} holds a training on other images or from other weights than there are now: "
        f"{kept}give this run a name of its own with --name, or {_replacement(context, first)}"
    )


def _data_set_facts(context: Context, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the fingerprint and the facts of the data set that the run is to have."""
    chosen, facts = choose_data_set(context), dict(facts)
    if chosen.changed is not None:
        facts["reused"] = {**code_facts(step_code("prepare", context)), "changed": chosen.changed}
        facts.pop("source", None)
        facts["code"] = None if chosen.code is None else dict(chosen.code)
        context.say(
            f"prepare: {chosen.name} was prepared by other code "
            f"({describe_changes(chosen.changed)}), used all the same"
        )
    digest = None if chosen.code is None else code_digest(chosen.code)
    return fingerprint({"step": "prepare", "inputs": facts["inputs"], "code": digest}), facts


def _check_repair(context: Context, name: str) -> None:
    """Refuses to make anew what would take long, or what other runs are of.

    Raises:
        DataError: if a data set is damaged; one that is not there is prepared again.
        UsageError: if nothing is left that training could go on from.

    """
    if name == "prepare" and files.names(context.dataset_directory):
        raise DataError(
            f"the data set {context.dataset_directory} is damaged: `twofold verify` tells all; "
            f"move the folder away, and the same command prepares it again"
        )
    if name != "pretrain":
        return
    path, seconds = context.run.path, context.run.seconds(name)
    if (
        not has_checkpoint(context.run.path / "checkpoints")
        and seconds > _SOON
        and context.other_code != "update"
    ):
        raise UsageError(
            f"the finished weights in {path} are damaged, and no checkpoint is left to make "
            f"them from: train again with --update, which takes {rough_duration(seconds)}"
        )


def rough_duration(seconds: float) -> str:
    """Writes what something took, to two digits or so."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
