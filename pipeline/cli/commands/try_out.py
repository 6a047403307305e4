"""Trial of a run from the command line: what is left to do, what that takes, whether it passes."""

from __future__ import annotations

from rich.markup import escape

from twofold.components import files
from twofold.components.data.store.manifest import MANIFEST_FILE, load_manifest
from twofold.components.training.reporting.intervals import duration
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.cli.console import out
from twofold.pipeline.cli.estimate_table import estimate_table
from twofold.pipeline.config import RunConfig
from twofold.pipeline.rehearsal.apart import run_apart
from twofold.pipeline.rehearsal.check_run import check_run
from twofold.pipeline.rehearsal.estimate import count_images
from twofold.pipeline.rehearsal.plan_run import plan_run, plan_study
from twofold.pipeline.rehearsal.short_config import without_start
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.reuse.planned_steps import Plan
from twofold.pipeline.steps.reuse.standing import choose_data_set

_ESTIMATE = "twofold.pipeline.rehearsal.estimate_run:estimate_run"


def try_out(context: Context, until: str, *, check: bool, estimate: bool) -> None:
    """Prints what a run, or each encoder of a study, has left to do, and takes that on one batch.

    What the command would do in the directory as it is comes first, with what would be refused.
    Nothing of the trial is left.

    Args:
        context: of the run.
        until: the last step.
        check: whether to take the steps.
        estimate: whether to print what they take.

    Raises:
        Interruption: if the trial was told to end.
        RehearsalError: naming a step that fails.
        TwofoldError: if the command would be refused.

    """
    try:
        if context.config.study is None:
            plan = plan_run(context, until)
            _try(context, plan, check=check, estimate=estimate)
            return
        for encoder, left in plan_study(context).items():
            out.print(escape(f"{encoder}:" if left.runs == 1 else f"{encoder}, {left.runs} seeds:"))
            _try(left.context, left.plan, check=check, estimate=estimate)
    except Interruption as end:
        end.then = "the trial left nothing behind"
        raise


def _try(context: Context, plan: Plan, *, check: bool, estimate: bool) -> None:
    if not plan.steps:
        return
    begun = bool(plan.trained.get("pretrain"))
    config = without_start(context.config) if begun else context.config
    if estimate:
        _print_estimate(context, config, plan)
    if check:
        took = check_run(config, stop=context.stop, until=plan.steps[-1])
        out.print(f"all steps to {plan.steps[-1]} passed on one batch, in {duration(took)}")


def _print_estimate(context: Context, config: RunConfig, plan: Plan) -> None:
    directory = files.join(context.datasets, choose_data_set(context).name)
    prepared = files.exists(files.join(directory, MANIFEST_FILE))
    counted = count_images(load_manifest(directory)) if prepared else None
    estimated = run_apart(
        _ESTIMATE,
        config,
        stop=context.stop,
        counted=counted,
        plan=plan,
    )
    out.print(estimate_table(estimated))
