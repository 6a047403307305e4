"""Options that the commands of runs share, and the run that they ask for."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.components.cluster import read_cluster
from twofold.components.errors import ConfigError, UsageError
from twofold.components.training.reporting.training_log import LOG
from twofold.components.training.resuming.interruption import STATUSES, Interruption, StopRequest
from twofold.components.training.workers.worker_group import WorkerGroup
from twofold.pipeline import config as configuration
from twofold.pipeline import recipes
from twofold.pipeline.cli.console import errors, out
from twofold.pipeline.cli.path_arguments import (
    check_lasting,
    local,
    local_folder,
    local_or_bucket,
    plain_name,
)
from twofold.pipeline.cli.progress_bar import ProgressDisplay
from twofold.pipeline.config import RunConfig
from twofold.pipeline.launch.launcher_watch import follow_launcher
from twofold.pipeline.runs.error_line import error_line
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.runs.run_environment import run_environment
from twofold.pipeline.runs.worker_directory import worker_directory
from twofold.pipeline.standard_streams import newly_lost

DATASETS = "datasets"
_RECIPE = "RECIPE|FILE.yaml"

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar=_RECIPE, help="a recipe's name, or a configuration file", callback=local
    ),
]
WorkdirOption = Annotated[Path, typer.Option(help="where runs are kept", callback=local_folder)]
DatasetsOption = Annotated[
    str | None,
    typer.Option(
        help="where data sets are kept, also gs://...; none: datasets in the workdir",
        callback=local_or_bucket,
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="override a setting; repeatable"),
]
NameOption = Annotated[
    str | None, typer.Option(help="name of the run's directory", callback=plain_name)
]
UpdateOption = Annotated[
    bool,
    typer.Option(
        "--update",
        help="let the run directory take another configuration, and do steps again that other code "
        "made; what was there is moved to superseded/ in it",
    ),
]
ReuseOption = Annotated[
    bool,
    typer.Option(
        "--reuse",
        help="keep the results of finished steps that other code made; with --update, too: steps "
        "are done again for their settings alone",
    ),
]
MaxMinutesOption = Annotated[
    float | None,
    typer.Option(
        "--max-minutes",
        min=0.0,
        help="end after these, training with a checkpoint and exit status 75; the same command "
        "goes on",
    ),
]
CheckOption = Annotated[
    bool,
    typer.Option(
        "--check",
        help="take every step on one batch in a temporary place, and nothing else; a run does so "
        "by itself before what is expected to take more than ten minutes",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="print steps, images, parameters, memory, disk and time, from a few measured steps, "
        "and do nothing else",
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="of the export, by commas: saved_model,onnx,litert,..."),
]


def _beam_options(context: typer.Context, value: list[str] | None) -> list[str] | None:
    """Refuses what stands before ``--``; the context's object is what follows it.

    Raises:
        UsageError: naming what is too much.

    """
    given = list(value or ())
    extra = given[: max(0, len(given) - len(context.obj or ()))]
    if extra:
        raise UsageError(
            f"expected one {_RECIPE}, received {' '.join(extra)}, too: remove it, or put Beam's "
            "options after --"
        )
    return value


BeamArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- BEAM OPTIONS]",
        help="e.g. -- --runner=FlinkRunner",
        callback=_beam_options,
    ),
]


def load_config(recipe: str, settings: list[str] | None) -> RunConfig:
    """Reads a recipe or a file, with settings overridden.

    Raises:
        ConfigError: if either cannot be used.
        UsageError: images are said to be where nothing outlives a command.

    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        loaded = configuration.load_yaml(path)
    else:
        loaded = recipes.load_recipe(recipe)
    config = configuration.override(loaded, settings or [])
    for key, value in config.data.source.model_dump(mode="json").items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str):
                check_lasting(one, f"data.{key}")
    return config


@contextlib.contextmanager
def open_run(
    recipe: str,
    settings: list[str] | None,
    workdir: Path,
    datasets: str | None,
    name: str | None,
    update: bool,
    reuse: bool,
    beam: list[str] | None,
    max_minutes: float | None = None,
    *,
    trains: bool = False,
) -> Iterator[Context]:
    """Opens the directory of the requested run, and closes it at the end.

    Signals that end a process, and the limit, end the run after a checkpoint. Where ``TF_CONFIG``
    names several workers and the command trains, the directory is the chief's, and other workers
    have one of their own for as long as they run.

    Raises:
        Interruption: if the run was told to end.
        ConfigError: if the recipe, the file, a setting or the name cannot be used, or a study is
            to be run by several workers.
        RunDirectoryError: if the directory cannot be used.

    """
    with contextlib.ExitStack() as stack:
        cluster = read_cluster()
        workers, several = None, len(cluster.addresses) > 1
        if several and _is_study(recipe, settings, name):
            raise ConfigError(
                f"{recipe} is a study of several runs, and TF_CONFIG names workers that train one: "
                f"unset it, and give the same command to each machine, which shares the runs"
            )
        if trains and several:
            workers = stack.enter_context(WorkerGroup(cluster, _say_aside).opened())
        config = _load_named(recipe, settings, name)
        if workers is None or cluster.is_chief:
            place = workdir
        else:
            place = stack.enter_context(worker_directory(workdir, config.name, cluster.index))
        directory = RunDirectory(
            place / config.name,
            config,
            run_environment() | {"recipe": Path(recipe).name},
            update=update,
        )
        stack.enter_context(contextlib.closing(directory))
        stop = StopRequest(max_minutes, say=_say_aside)
        stack.enter_context(stop.listening())
        follow_launcher(_say_aside)
        progress = ProgressDisplay(errors, _say)
        context = Context(
            config=config,
            run=directory,
            datasets=datasets or str(workdir / DATASETS),
            beam_options=tuple(beam or ()),
            progress=progress.bar,
            say=_say,
            stop=stop,
            show_interval=progress.interval,
            workers=workers,
            other_code="reuse" if reuse else "update" if update else "ask",
        )
        try:
            yield context
        except KeyboardInterrupt:
            # A library had taken the signal for itself.
            raise Interruption("SIGINT", STATUSES[signal.SIGINT]) from None


def _is_study(recipe: str, settings: list[str] | None, name: str | None) -> bool:
    """Tells whether a study was requested, before its process waits for other workers."""
    try:
        return _load_named(recipe, settings, name).study is not None
    except (ConfigError, UsageError):
        # Refused once they have met, so that the others do not wait.
        return False


def _load_named(recipe: str, settings: list[str] | None, name: str | None) -> RunConfig:
    config = load_config(recipe, settings)
    if name is not None:
        values = config.model_dump(mode="json") | {"name": name}
        config = configuration.parse_config(values, f"--name {name}")
    if config.name == DATASETS:
        raise ConfigError(
            f"name={config.name!r} is where data sets are kept: expected another name"
        )
    return config


def _say(line: str) -> None:
    out.print(escape(line))
    if (error := newly_lost()) is not None:
        _say_aside(
            f"standard output: {error_line(error)}: the run goes on, and what it says of training "
            f"is in its {LOG}"
        )


def _say_aside(line: str) -> None:
    errors.print(escape(line))
