"""Plan of a run, or of a study's runs, with all that the command itself would refuse."""

from __future__ import annotations

import dataclasses

from twofold.components.errors import DirectoryInUseError
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.before_preparing import check_before_preparing
from twofold.pipeline.steps.checks.data_checks import check_trainable
from twofold.pipeline.steps.reuse.beginning import ask_about_other_code
from twofold.pipeline.steps.reuse.planned_steps import Plan, describe_reuse, is_reused, plan_steps
from twofold.pipeline.steps.reuse.standing import examine
from twofold.pipeline.steps.runner import check_before_training
from twofold.pipeline.studies.member_queue import (
    LAST_STEP,
    Unit,
    check_units,
    part_of,
    study_units,
)
from twofold.pipeline.studies.study_members import STEP


@dataclasses.dataclass(frozen=True)
class EncoderPlan:
    """What is left to do of an encoder of a study.

    Attributes:
        context: of the first of its runs that is not finished.
        plan: of that one.
        runs: how many are not finished.

    """

    context: Context
    plan: Plan
    runs: int


def plan_run(context: Context, until: str) -> Plan:
    """Plans a run, and refuses what ``run_steps`` would refuse before the first training step.

    Args:
        context: of the run, which is told what would be done.
        until: the last step.

    Raises:
        TwofoldError: if the run would be refused.

    """
    plan = plan_steps(context, until)
    if {"prepare", "pretrain"} & {*plan.steps} and until != "prepare":
        check_before_preparing(context, until)
    if "pretrain" in plan.steps and "prepare" not in plan.steps:
        check_trainable(context.config, context.manifest())
        if until != "pretrain":
            check_before_training(context)
    return plan


def plan_study(context: Context) -> dict[str, EncoderPlan]:
    """Plans what is left of a study, by encoder.

    Args:
        context: of the study, which is told what would be done.

    Raises:
        TwofoldError: if the study would be refused.

    """
    units = study_units(context.config)
    ask_about_other_code(context, [STEP])
    standing = examine(context, STEP)
    for line in describe_reuse(context, STEP, standing):
        context.say(line)
    if is_reused(context, STEP, standing):
        return {}
    check_units(context, units)
    left: dict[str, EncoderPlan] = {}
    for unit in units:
        one, plan = _plan_member(context, unit)
        before = left.get(unit.encoder)
        if before is not None and plan.steps:
            left[unit.encoder] = dataclasses.replace(before, runs=before.runs + 1)
        elif plan.steps:
            left[unit.encoder] = EncoderPlan(one, plan, 1)
    return left


def _plan_member(context: Context, unit: Unit) -> tuple[Context, Plan]:
    member = part_of(context, unit.config)
    if member.run.has_record:
        context.say(f"{unit.config.name}:")
    try:
        return member, plan_steps(member, LAST_STEP)
    except DirectoryInUseError:
        context.say("another process runs it")
        return member, Plan(())
