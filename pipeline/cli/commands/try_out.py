"""Trial of a run from the command line: what it will take, and whether its steps pass."""

from __future__ import annotations

from rich.markup import escape

from twofold.components import files
from twofold.components.data.store.manifest import MANIFEST_FILE, load_manifest
from twofold.components.training.reporting.intervals import duration
from twofold.components.training.resuming.interruption import Interruption
from twofold.pipeline.cli.console import out
from twofold.pipeline.cli.estimate_table import estimate_table
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.study import encoders_of
from twofold.pipeline.rehearsal.apart import run_apart
from twofold.pipeline.rehearsal.check_run import check_run
from twofold.pipeline.rehearsal.estimate import count_images
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.steps.checks.image_size import check_image_size
from twofold.pipeline.steps.reuse.standing import choose_data_set
from twofold.pipeline.studies.study_members import member_config, study_of

_ESTIMATE = "twofold.pipeline.rehearsal.estimate_run:estimate_run"


def try_out(context: Context, until: str, *, check: bool, estimate: bool) -> None:
    """Prints what a run, or each encoder of a study, will take, and takes its steps on one batch.

    Nothing of it is left.

    Args:
        context: of the run.
        until: the last step.
        check: whether to take the steps.
        estimate: whether to print what they take.

    Raises:
        Interruption: if the trial was told to end.
        RehearsalError: naming a step that fails.
        SettingsError: if the settings do not fit one another or the images.

    """
    try:
        check_image_size(context.config, context.source)
        for name, config, last in _runs(context.config, until):
            if name:
                out.print(escape(f"{name}:"))
            if estimate:
                _print_estimate(context, config)
            if check:
                took = check_run(config, stop=context.stop, until=last)
                out.print(f"all steps to {last} passed on one batch, in {duration(took)}")
    except Interruption as end:
        end.then = "the trial left nothing behind"
        raise


def _runs(config: RunConfig, until: str) -> list[tuple[str, RunConfig, str]]:
    """Gives the runs that differ: name, configuration, last step."""
    if config.study is None:
        return [("", config, until)]
    study = study_of(config)
    first = study.seeds[0]
    # No encoder of a study is exported.
    return [(name, member_config(config, name, first), "evaluate") for name in encoders_of(study)]


def _print_estimate(context: Context, config: RunConfig) -> None:
    directory = files.join(context.datasets, choose_data_set(context).name)
    prepared = files.exists(files.join(directory, MANIFEST_FILE))
    counted = count_images(load_manifest(directory)) if prepared else None
    out.print(estimate_table(run_apart(_ESTIMATE, config, stop=context.stop, counted=counted)))
