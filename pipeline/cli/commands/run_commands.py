"""Commands that run a recipe: `run`, and one for each step."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.components.errors import AlarmError, ConfigError
from twofold.pipeline.cli.commands.run_options import (
    BeamArgument,
    CheckOption,
    DatasetsOption,
    DryRunOption,
    FormatOption,
    MaxMinutesOption,
    NameOption,
    RecipeArgument,
    ReuseOption,
    SetOption,
    UpdateOption,
    WorkdirOption,
    open_run,
)
from twofold.pipeline.cli.commands.try_out import try_out
from twofold.pipeline.cli.console import errors, out
from twofold.pipeline.cli.result_table import result_table
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.rehearsal.before_long import check_before_long
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps.reuse.outputs import STEPS
from twofold.pipeline.steps.runner import run_one_step, run_steps, run_with_chief
from twofold.pipeline.studies.run_study import run_study
from twofold.pipeline.studies.study_members import STEP as STUDY
from twofold.pipeline.studies.study_summary import summary_table


def run(
    recipe: RecipeArgument,
    beam: BeamArgument = None,
    until: Annotated[str, typer.Option(help=f"last step: {', '.join(STEPS)}")] = STEPS[-1],
    settings: SetOption = None,
    workdir: WorkdirOption = Path("twofold-runs"),
    datasets: DatasetsOption = None,
    name: NameOption = None,
    update: UpdateOption = False,
    reuse: ReuseOption = False,
    formats: FormatOption = None,
    max_minutes: MaxMinutesOption = None,
    check: CheckOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Prepare, pretrain, evaluate and export; finished steps are reused.

    Example: twofold run quickstart --set training.epochs=3 --name short
    """
    if until not in STEPS:
        raise typer.BadParameter(f"expected one of {', '.join(STEPS)}", param_hint="--until")
    settings = _with_formats(settings, formats)
    trial = check or dry_run
    opening = open_run(
        recipe,
        settings,
        workdir,
        datasets,
        name,
        update,
        reuse,
        beam,
        max_minutes,
        trains=not trial,
    )
    with opening as opened:
        if trial:
            try_out(opened, until, check=check, estimate=dry_run)
            return
        context = dataclasses.replace(opened, before_long=check_before_long(until))
        if _joins_chief(context):
            run_with_chief(context)
            return
        if context.config.study is not None:
            outcome = run_study(context)
            out.print(escape(str(context.run.path)))
            if outcome == "helped":
                return
            ran = [STUDY] if outcome == "measured" else []
            out.print(summary_table(context.config, context.run.metrics()))
        else:
            with _page_of_stopped(context):
                ran = run_steps(context, until)
            _report(context.run)
        _write_page(context, ran)


def _step_command(step: str, purpose: str) -> Callable[..., None]:
    """Makes the command of one step."""

    def command(
        recipe: RecipeArgument,
        beam: BeamArgument = None,
        settings: SetOption = None,
        workdir: WorkdirOption = Path("twofold-runs"),
        datasets: DatasetsOption = None,
        name: NameOption = None,
        update: UpdateOption = False,
        reuse: ReuseOption = False,
    ) -> None:
        opening = open_run(
            recipe,
            settings,
            workdir,
            datasets,
            name,
            update,
            reuse,
            beam,
            trains=step == "pretrain",
        )
        with opening as context:
            _run_step(context, step)

    command.__doc__ = f"{purpose}.\n\nExample: twofold {step} quickstart"
    return command


prepare = _step_command("prepare", "Write the images as TFRecord shards with a manifest")
pretrain = _step_command("pretrain", "Train the encoder, from the last checkpoint if there is one")
evaluate = _step_command("evaluate", "Embed the images once and measure the encoder")


def export(
    recipe: RecipeArgument,
    beam: BeamArgument = None,
    settings: SetOption = None,
    workdir: WorkdirOption = Path("twofold-runs"),
    datasets: DatasetsOption = None,
    name: NameOption = None,
    update: UpdateOption = False,
    reuse: ReuseOption = False,
    formats: FormatOption = None,
) -> None:
    """Write a SavedModel and prove it in fresh processes; convert it for other runtimes.

    Example: twofold export quickstart --format saved_model,onnx,litert
    """
    settings = _with_formats(settings, formats)
    with open_run(recipe, settings, workdir, datasets, name, update, reuse, beam) as context:
        _run_step(context, "export")


def _joins_chief(context: Context) -> bool:
    """Tells whether another worker is the chief of this run."""
    return context.workers is not None and not context.workers.cluster.is_chief


def _with_formats(settings: list[str] | None, formats: str | None) -> list[str]:
    if formats is None:
        return list(settings or ())
    chosen = f"formats=[{formats}]"
    # By itself first, for a message about what was typed.
    override(RunConfig(), [chosen], section="export", origin=f"--format {formats}")
    return [*(settings or ()), f"export.{chosen}"]


def _run_step(context: Context, step: str) -> None:
    if _joins_chief(context):
        run_with_chief(context)
        return
    if context.config.study is not None:
        raise ConfigError(
            f"{context.config.name} is a study of several runs: expected `twofold run`"
        )
    with _page_of_stopped(context):
        ran = run_one_step(context, step)
    _report(context.run)
    _write_page(context, ran)


@contextlib.contextmanager
def _page_of_stopped(context: Context) -> Iterator[None]:
    """Writes the page of a run that an alarm stops, too, which has the curves that led there."""
    try:
        yield
    except AlarmError:
        _write_page(context, ["pretrain"])
        raise


def _report(directory: RunDirectory) -> None:
    table = result_table(directory.metrics())
    out.print(escape(str(directory.path)))
    if table.row_count:
        out.print(table)


def _write_page(context: Context, ran: list[str]) -> None:
    """Writes the page of a run that went on; the run is finished, whatever becomes of its page."""
    from twofold.pipeline.reports.run_report import PAGE
    from twofold.pipeline.studies.study_report import has_content, write_report

    if not has_content(context.run.path) or (not ran and (context.run.path / PAGE).exists()):
        return
    try:
        page = write_report(context.run.path, context.datasets)
    except Exception as error:
        errors.print(
            f"the run has ended, but its page could not be written: {escape(error_line(error))}; "
            f"`twofold report {escape(str(context.run.path))}` tries again"
        )
    else:
        out.print(escape(str(page)))
