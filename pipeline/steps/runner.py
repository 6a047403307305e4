"""Step runner: the steps of a run in their order, each unless it is finished."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from twofold.components import files
from twofold.components.errors import DataError, OtherCodeError, StepError, UsageError
from twofold.components.training.resuming.checkpoint_files import has_checkpoint
from twofold.pipeline.runs.code_fingerprint import code_digest
from twofold.pipeline.runs.record_format import RECORD
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import PAGE, fingerprint
from twofold.pipeline.steps.checks.image_size import check_image_size
from twofold.pipeline.steps.checks.preparation_time import expected_preparation
from twofold.pipeline.steps.reuse.course import (
    Going,
    changed_since,
    plan_training,
    training_fingerprint,
)
from twofold.pipeline.steps.reuse.fingerprints import (
    code_facts,
    embedding_fingerprint,
    step_code,
    step_facts,
    step_inputs,
    training_images,
)
from twofold.pipeline.steps.reuse.outputs import EMBEDDINGS, describe_files, made_from, results
from twofold.pipeline.steps.reuse.standing import (
    Standing,
    choose_data_set,
    describe_changes,
    examine,
    is_finished,
)
from twofold.pipeline.tensorflow_import import import_tensorflow
from twofold.pipeline.training.expected_time import LONG
from twofold.pipeline.training.stage_callbacks import check_callbacks

STEPS = ("prepare", "pretrain", "evaluate", "export")
# What is damaged and takes longer to make anew is not made anew unless the user requests it.
_SOON = 60.0
# Keys of a step's record.
_MADE_FROM = ("inputs", "code", "source")


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
            check_image_size(context.config, context.source)
            check_callbacks(context.config)
            _tell_of_long_preparation(context)
        if name == "pretrain" and until != "pretrain" and not is_done(context, name):
            _check_later_steps(context)
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
    if standing.kind == "done":
        accepted = run.entry(name).get("reused")
        made = f" (made by other code: {describe_changes(accepted['changed'])})" if accepted else ""
        context.say(f"{name}: finished before, reused{made}")
        if name == "pretrain" and (changed := changed_since(run.entry(name), context.config)):
            context.say(f"{name}: nothing is left to train with {', '.join(changed)}")
        return True
    if standing.kind != "code" or context.other_code != "reuse":
        return False
    finished = is_finished(context, name)
    if finished:
        # From now on its files are known, too.
        found = None if "files" in run.entry(name) else describe_files(run.path, name)
        run.accept(name, _accepted(context, name, standing), files=found)
        changes = describe_changes(standing.reasons)
        context.say(f"{name}: finished before by other code ({changes}), reused")
    return finished


def _accepted(context: Context, name: str, standing: Standing) -> dict[str, Any]:
    return {**step_facts(name, context), "changed": list(standing.reasons)}


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
    run, names = context.run, STEPS[STEPS.index(first) :] if first in STEPS else (first,)
    costs = ", ".join(f"{one} {_duration(run.seconds(one))}" for one in names if run.entry(one))
    return (
        f"do them and those after them again with --update, which moves what is there to "
        f"{run.superseded.parent} (replaced, with what each took: {costs})"
    )


def _refuse_to_replace(context: Context, first: str) -> None:
    """Refuses to replace a finished training by one on other images, without being asked to.

    Raises:
        OtherCodeError: naming what it took.

    """
    run = context.run
    if run.takes_over or run.entry("pretrain").get("status") != "done":
        return
    raise OtherCodeError(
        f"{run.path} holds a training on other images or from other weights than there are now: "
        f"give this run a name of its own with --name, or {_replacement(context, first)}"
    )


def _run_if_needed(context: Context, name: str) -> bool:
    if reuse_step(context, name):
        _announce_training(context, name, needed=False)
        return False
    if context.stop.requested:
        context.stop.end()
    standing, run = examine(context, name), context.run
    facts = step_facts(name, context)
    begun, before = step_inputs(name, context), run.entry(name)
    if standing.kind == "code" and context.other_code == "reuse":
        changes = describe_changes(standing.reasons)
        context.say(f"{name}: begun by other code ({changes}), gone on with")
        facts = {key: before[key] for key in _MADE_FROM if key in before}
        facts["reused"] = _accepted(context, name, standing)
        begun = str(training_fingerprint(before))
    if (
        standing.kind == "damaged"
        and name == "pretrain"
        and has_checkpoint(context.run.path / "checkpoints")
    ):
        # It goes on from what the same code made, or other code whose result was accepted.
        facts = {key: before[key] for key in (*_MADE_FROM, "reused") if key in before}
        begun = str(training_fingerprint(before))
    if standing.kind == "open" and is_finished(context, name) and name in STEPS[:2]:
        _refuse_to_replace(context, name)
    images, made_by = _images(context), begun
    if name == "prepare":
        made_by, facts = _data_set_facts(context, facts)
    for problem in standing.reasons if standing.kind == "damaged" else ():
        context.say(f"{name}: {problem}")
    if standing.kind == "damaged":
        _check_repair(context, name)
    going = None
    if name == "pretrain":
        update = context.other_code == "update"
        checkpoints = run.path / "checkpoints"
        going = plan_training(before, begun, context.config, checkpoints, update=update)
        made_by, facts = going.made_by, {**facts, **going.facts}
        if going.change:
            context.say(f"{name}: {going.change}")
    _make_room(context, name, begun, going)
    if going is not None and going.anew:
        run.forget(name)
    step = _load_step(name)
    _announce_training(context, name, needed=True)
    with run.record(name, made_by, facts) as entry:
        entry["metrics"] = step.run(context, entry["details"])
        entry["files"] = describe_files(run.path, name)
        if name == "prepare" and run.takes_over:
            _leave_other_images(context, images)
    attempts = run.entry(name)["attempts"]
    counted = f" in {attempts} attempts" if attempts > 1 else ""
    context.say(f"{name}: done in {run.seconds(name):.1f} s{counted}")
    return True


def _check_later_steps(context: Context) -> None:
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
            f"them from: train again with --update, which takes {_duration(seconds)}"
        )
    context.run.set_aside(path / "checkpoints" / "final")


def _images(context: Context) -> dict[str, Any]:
    known = "dataset_fingerprint" in context.run.details("prepare")
    return training_images(context) if known else {}


def _leave_other_images(context: Context, before: Mapping[str, Any]) -> None:
    """Moves aside what was made of another data set than the run has now.

    Args:
        context: of the run, whose data set is prepared.
        before: what its training saw, where that was not recorded.

    """
    run, now = context.run, _images(context)
    trained = run.entry("pretrain")
    seen = trained.get("inputs") or before, (trained.get("reused") or {}).get("inputs") or {}
    keys = ("dataset", "dataset_code")
    if not trained or any(all(one.get(key) == now.get(key) for key in keys) for one in seen):
        return
    _make_room(context, "pretrain", step_inputs("pretrain", context), cause="prepare")
    run.set_aside(run.path / PAGE)
    run.forget("pretrain")


def _make_room(
    context: Context, name: str, begun: str, going: Going | None = None, cause: str = ""
) -> None:
    """Moves aside what the step and those after it are to make anew, after naming it.

    Args:
        context: of the run.
        name: of the step.
        begun: fingerprint of what training begins with, where that is the step.
        going: how it goes on; None where it is not about to.
        cause: the step because of which this is so; empty for the step itself.

    """
    # The same images prepared again are the same data set.
    if name == "prepare":
        return
    run, again = context.run, STEPS[STEPS.index(name) :]
    finished = [one for one in again if run.entry(one).get("status") == "done"]
    checkpoints = run.path / "checkpoints"
    pretrained = made_from(checkpoints / "model.json") in (None, begun)
    if going is not None and going.anew:
        pretrained = False
    if finished or not pretrained:
        embedded = made_from(run.path / EMBEDDINGS / "index.json") == (
            embedding_fingerprint(context) if name == "evaluate" else None
        )
        listed = list(results(run.path, name, pretrained=pretrained, embedded=embedded))
        if going is not None and going.further:
            # What was finished stays as it was; its pictures are drawn anew.
            listed += [checkpoints / "final", *sorted(run.path.glob("figures/*.png"))]
        there = list(dict.fromkeys(path for path in listed if path.exists()))
        if there:
            spent = ", ".join(f"{one} ({_duration(run.seconds(one))})" for one in finished)
            does = f"replaces {spent or 'an unfinished training'}"
            if going is not None and going.further:
                does = "trains on what was finished"
            moved = sorted({_shown(path.relative_to(run.path)) for path in there})
            context.say(
                f"{cause or name}: {does}; what is there is moved to {run.superseded}: "
                f"{', '.join(moved)}"
            )
            run.set_aside(*there)
            description = checkpoints / "model.json"
            if going is not None and going.further and description.exists():
                # The finished weights stay a checkpoint that can be read.
                copy = run.superseded / description.relative_to(run.path)
                files.write_bytes(copy, description.read_bytes())
    for one in again[1:]:
        run.forget(one)


def _shown(path: Path) -> str:
    """Names what is moved: a folder of pictures as a whole."""
    return path.parts[0] if path.parts[0] == "figures" else path.as_posix()


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
