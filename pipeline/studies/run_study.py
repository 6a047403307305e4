"""Study runner: several encoders of the same images, each a run of its own, then compared."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

from twofold.components.errors import DirectoryInUseError
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.runs.run_record import read_record
from twofold.pipeline.steps.reuse.beginning import ask_about_other_code
from twofold.pipeline.steps.reuse.fingerprints import step_facts, step_inputs
from twofold.pipeline.steps.runner import restore_copies, reuse_step, run_steps
from twofold.pipeline.studies.failed_members import new_start, tried_once
from twofold.pipeline.studies.member_queue import (
    LAST_STEP,
    Unit,
    check_units,
    part_of,
    run_members,
    study_units,
    wait_for_images,
)
from twofold.pipeline.studies.study_members import (
    STEP,
    Member,
    epochs_on_fewer,
    study_of,
    trained_fractions,
)
from twofold.pipeline.tensorflow_import import import_tensorflow

Outcome = Literal["measured", "reused", "helped"]


def run_study(context: Context) -> Outcome:
    """Runs the members of a study that are not finished, and measures them side by side.

    The members' directories are in the study's own; each is a run like any other. Where another
    process has begun the same study, this one runs the members that nobody else runs, and leaves
    the measuring to it. A member that fails ends no other one.

    Returns:
        Whether the study was measured, was finished before, or was helped along.

    Raises:
        ConfigError: if a member's settings cannot be used.
        StudyError: if members failed.

    """
    units = study_units(context.config)
    ask_about_other_code(context, [STEP])
    if reuse_step(context, STEP):
        restore_copies(context)
        return "reused"
    check_units(context, units)
    inputs, facts = step_inputs(STEP, context), step_facts(STEP, context)
    import_tensorflow()
    from twofold.pipeline.studies.study_measures import measure_study

    with contextlib.ExitStack() as stack:
        try:
            entry = stack.enter_context(context.run.record(STEP, inputs, facts | new_start()))
        except DirectoryInUseError:
            return _help(context, units)
        members = run_members(context, units, _run_unit, wait=True)
        entry["details"]["members"] = [member.context.config.name for member in members]
        entry["metrics"] = measure_study(context, members, entry["details"])
    context.say(f"{STEP}: done in {context.run.seconds(STEP):.1f} s")
    return "measured"


def _help(context: Context, units: Sequence[Unit]) -> Outcome:
    context.say("another process has begun this study: running what it does not run yet")
    wait_for_images(context, units[0])
    run_members(context, units, _run_unit, wait=False)
    context.say(
        "all runs of the study are finished, or under way in other processes; the one that began "
        "it measures them, and if it has ended, the same command does"
    )
    return "helped"


def _run_unit(study: Context, unit: Unit, described: bool) -> list[Member]:
    """Runs an encoder with a seed, and those that its curve needs."""
    from twofold.pipeline.reports.run_report import write_run_report

    member = Member(unit.encoder, unit.seed, part_of(study, unit.config))
    members = [member]
    with _held(member.context.run), tried_once(study, member.context):
        _run(member, LAST_STEP, described=described)
        write_run_report(read_record(member.context.run.path), study.datasets)
        if not unit.config.method.labelled_only:
            return members
        for fraction in trained_fractions(study_of(study.config), unit.config.training.epochs):
            less = _for_curve(study, member, fraction)
            with _held(less.context.run):
                # Nothing but its own classifier is measured.
                _run(less, "pretrain", described=True)
            members.append(less)
    return members


@contextlib.contextmanager
def _held(run: RunDirectory) -> Iterator[None]:
    """Keeps other processes out of a directory."""
    run.claim()
    try:
        yield
    finally:
        run.close()


def _run(member: Member, until: str, *, described: bool) -> None:
    """Runs a member's steps; all prepare the same images, which are described once."""
    context = member.context
    context.say(f"{context.config.name}:")
    if described:
        run_steps(dataclasses.replace(context, say=lambda line: None), "prepare")
    run_steps(context, until)


def _for_curve(study: Context, member: Member, fraction: float) -> Member:
    from twofold.pipeline.training.prepared_images import load_training_images

    whole = member.context.config
    epochs = study_of(study.config).fraction_training_epochs or whole.training.epochs
    less = whole.data.model_copy(update={"label_share": fraction, "label_seed": member.seed})
    name = f"{whole.name}-labels-{fraction:g}"
    config = whole.model_copy(update={"name": name, "data": less})
    probed = dataclasses.replace(member.context, config=config)
    split = load_training_images(probed, probed.manifest()).labelled
    update = {"epochs": epochs_on_fewer(epochs, fraction)}
    if whole.training.last_batch == "drop":
        # Of few labels all are in each batch.
        update["batch_size"] = min(whole.training.batch_size, int((split.labels >= 0).sum()))
    training = whole.training.model_copy(update=update)
    part = part_of(study, config.model_copy(update={"training": training}))
    return Member(member.encoder, member.seed, part, fraction)
