"""Command line of Twofold."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twofold.components.errors import ConfigError, UsageError
from twofold.components.evaluation.metric_catalogue import Place
from twofold.components.evaluation.metrics import (
    bounds_of,
    describe,
    interval_text,
    names_at,
    value_text,
)
from twofold.pipeline import config as configuration
from twofold.pipeline import recipes
from twofold.pipeline.cli import model_commands, picture_commands
from twofold.pipeline.cli.error_line import error_line
from twofold.pipeline.cli.path_arguments import local, local_or_bucket
from twofold.pipeline.cli.progress_bar import progress_bar
from twofold.pipeline.config import RunConfig
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import RunDirectory
from twofold.pipeline.steps.runner import STEPS, run_one_step, run_steps
from twofold.pipeline.studies.run_study import run_study
from twofold.pipeline.studies.study_members import STEP as STUDY
from twofold.pipeline.studies.study_summary import summary_table
from twofold.pipeline.tensorflow_import import import_tensorflow

app = typer.Typer(
    help="Self-supervised image encoders: prepare, pretrain, evaluate, export, serve.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_out = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)

_INTERRUPTED = 130
_DATASETS = "datasets"

RecipeArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|FILE.yaml", help="a recipe's name, or a configuration file", callback=local
    ),
]
WorkdirOption = Annotated[Path, typer.Option(help="where runs are kept", callback=local)]
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
NameOption = Annotated[str | None, typer.Option(help="name of the run's directory", callback=local)]
UpdateOption = Annotated[
    bool,
    typer.Option(
        "--update",
        help="let the run directory take another configuration, and do steps again that other code "
        "made; what was there is moved to superseded/ in it",
    ),
]
ReuseOption = Annotated[
    bool, typer.Option("--reuse", help="keep the results of finished steps that other code made")
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="of the export, by commas: saved_model,onnx,litert,..."),
]
BeamArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- BEAM OPTIONS]", help="e.g. -- --runner=FlinkRunner"),
]


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks")] = False,
) -> None:
    """Self-supervised image encoders: prepare, pretrain, evaluate, export, serve."""


@app.command("recipes")
def list_recipes() -> None:
    """List the recipes with their cost and expected results.

    Example: twofold recipes
    """
    for name in recipes.recipe_names():
        _out.print(f"[bold]{name}[/bold]")
        for line in recipes.describe_recipe(name).splitlines():
            _out.print(f"    {escape(line)}" if line else "")
        expected = recipes.expected_results(name)
        data = next((one.protocol.data for one in expected if one.protocol.data), "")
        _out.print()
        _out.print(f"    Expected{f', on {data}' if data else ''}:")
        for one in expected:
            _out.print(f"        {escape(one.sentence)}")
        _out.print()


@app.command()
def show(recipe: RecipeArgument, settings: SetOption = None) -> None:
    """Print every setting as YAML with what it is for; `twofold run` takes it back.

    Example: twofold show quickstart > my.yaml
    """
    sys.stdout.write(configuration.to_commented_yaml(_load(recipe, settings)))


@app.command()
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
) -> None:
    """Prepare, pretrain, evaluate and export; finished steps are reused.

    Example: twofold run quickstart --set training.epochs=3 --name short
    """
    if until not in STEPS:
        raise typer.BadParameter(f"expected one of {', '.join(STEPS)}", param_hint="--until")
    settings = _with_formats(settings, formats)
    with _context(recipe, settings, workdir, datasets, name, update, reuse, beam) as context:
        if context.config.study is not None:
            ran = [STUDY] if run_study(context) else []
            _out.print(escape(str(context.run.path)))
            _out.print(summary_table(context.config, context.run.metrics()))
        else:
            ran = run_steps(context, until)
            _report(context.run)
        _write_page(context, ran)


def _one_step(step: str, purpose: str) -> None:
    """Adds the command of one step."""

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
        with _context(recipe, settings, workdir, datasets, name, update, reuse, beam) as context:
            _run_step(context, step)

    command.__doc__ = f"{purpose}.\n\nExample: twofold {step} quickstart"
    app.command(step)(command)


_one_step("prepare", "Write the images as TFRecord shards with a manifest")
_one_step("pretrain", "Train the encoder, from the last checkpoint if there is one")
_one_step("evaluate", "Embed the images once and measure the encoder")


@app.command()
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
    with _context(recipe, settings, workdir, datasets, name, update, reuse, beam) as context:
        _run_step(context, "export")


def _with_formats(settings: list[str] | None, formats: str | None) -> list[str]:
    chosen = [] if formats is None else [f"export.formats=[{formats}]"]
    return [*(settings or ()), *chosen]


def _run_step(context: Context, step: str) -> None:
    if context.config.study is not None:
        raise ConfigError(
            f"{context.config.name} is a study of several runs: expected `twofold run`"
        )
    ran = run_one_step(context, step)
    _report(context.run)
    _write_page(context, ran)


@app.command()
def verify(
    dataset: Annotated[
        str, typer.Argument(help="the directory of a prepared data set", callback=local_or_bucket)
    ],
    decode: Annotated[bool, typer.Option(help="decode every image, too")] = True,
) -> None:
    """Check every byte of a prepared data set, and say what is damaged.

    Example: twofold verify twofold-runs/datasets/folder-0123456789abcdef
    """
    from twofold.pipeline.cli.verify_command import verify as verify_dataset

    raise typer.Exit(verify_dataset(dataset, out=_out, errors=_errors, decode=decode))


@app.command()
def report(
    run_directory: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="a run's directory, with a finished step", callback=local
        ),
    ],
    datasets: Annotated[
        str | None,
        typer.Option(
            help="where data sets are kept; none: datasets beside the run", callback=local_or_bucket
        ),
    ] = None,
) -> None:
    """Write the page of a run anew: what was run, its metrics, curves, and images to look at.

    Example: twofold report twofold-runs/quickstart
    """
    from twofold.pipeline.studies.study_report import write_report

    directory = datasets or str(run_directory.resolve().parent / _DATASETS)
    _out.print(escape(str(write_report(run_directory, directory))))


@app.command()
def compare(
    run_directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN...",
            help="runs' directories; the others are compared with the first",
            callback=local,
        ),
    ],
    out: Annotated[Path, typer.Option(help="the page to write", callback=local)] = Path(
        "compare.html"
    ),
) -> None:
    """Hold runs against the first one, and say which differences exceed noise.

    Runs that differ in their seed alone are taken together.

    Example: twofold compare twofold-runs/quickstart twofold-runs/short
    """
    from twofold.pipeline.runs.compare_runs import compare_runs

    compare_runs(run_directories, out, _out)


picture_commands.add_to(app)
model_commands.add_to(app)


@app.command()
def serve(
    model_dir: Annotated[
        Path, typer.Argument(help="holds integer versions of a SavedModel", callback=local)
    ],
    name: Annotated[str, typer.Option(help="name of the model in the address")] = "encoder",
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    rest_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8501,
) -> None:
    """Answer TensorFlow Serving's REST requests with a model.

    Example: twofold serve twofold-runs/quickstart/saved_model
    """
    import_tensorflow()
    from twofold.serving.rest import serve as serve_model

    serve_model(
        model_dir,
        name=name,
        host=host,
        rest_port=rest_port,
        on_ready=lambda url: _out.print(
            f"serving {escape(str(model_dir))} at {url}/v1/models/{name}"
        ),
    )


@app.command()
def doctor() -> None:
    """Show versions, devices and memory, and what is missing for which feature.

    Example: twofold doctor
    """
    from twofold.pipeline.cli.doctor import examine

    table = Table(show_header=False, box=None)
    for topic, finding in examine():
        table.add_row(topic, escape(finding))
    _out.print(table)


def _load(recipe: str, settings: list[str] | None) -> RunConfig:
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml"):
        loaded = configuration.load_yaml(path)
    else:
        loaded = recipes.load_recipe(recipe)
    return configuration.override(loaded, settings or [])


@contextlib.contextmanager
def _context(
    recipe: str,
    settings: list[str] | None,
    workdir: Path,
    datasets: str | None,
    name: str | None,
    update: bool,
    reuse: bool,
    beam: list[str] | None,
) -> Iterator[Context]:
    config = _load(recipe, settings)
    if name is not None:
        values = config.model_dump(mode="json") | {"name": name}
        config = configuration.parse_config(values, f"--name {name}")
    if config.name == _DATASETS:
        raise ConfigError(
            f"name={config.name!r} is where data sets are kept: expected another name"
        )
    directory = RunDirectory(
        workdir / config.name,
        config,
        {
            "twofold": importlib.metadata.version("twofold"),
            "versions": {
                package: importlib.metadata.version(package)
                for package in ("tensorflow", "keras", "apache-beam", "numpy", "scikit-learn")
            },
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "git_revision": _git_revision(),
            "recipe": Path(recipe).name,
        },
        update=update,
    )
    with contextlib.closing(directory):
        yield Context(
            config=config,
            run=directory,
            datasets=datasets or str(workdir / _DATASETS),
            beam_options=tuple(beam or ()),
            progress=functools.partial(progress_bar, _errors),
            say=lambda line: _out.print(escape(line)),
            other_code="reuse" if reuse else "update" if update else "ask",
        )


def _git_revision() -> str | None:
    """Returns the revision of Twofold's own checkout, if it runs from one."""
    root, git = Path(__file__).parents[2], shutil.which("git")
    # An installed package may lie in the checkout of something else.
    if git is None or not (root / ".git").exists():
        return None
    finished = subprocess.run(
        [git, "-C", str(root), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return finished.stdout.strip() or None


def _report(directory: RunDirectory) -> None:
    metrics = directory.metrics()
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name in names_at(Place.HEADLINE):
        if name in metrics:
            bounds = bounds_of(name, metrics)
            interval = f"95 % interval {interval_text(name, *bounds)}" if bounds else ""
            table.add_row(describe(name).title, value_text(name, metrics[name]), interval)
    _out.print(escape(str(directory.path)))
    if table.row_count:
        _out.print(table)


def _write_page(context: Context, ran: list[str]) -> None:
    """Writes the page of a run that went on; the run is finished, whatever becomes of its page."""
    from twofold.pipeline.runs.run_report import PAGE
    from twofold.pipeline.studies.study_report import has_content, write_report

    if not has_content(context.run.path) or (not ran and (context.run.path / PAGE).exists()):
        return
    try:
        page = write_report(context.run.path, context.datasets)
    except Exception as error:
        _errors.print(
            f"the run is finished, but its page could not be written: {escape(error_line(error))}; "
            f"`twofold report {escape(str(context.run.path))}` tries again"
        )
    else:
        _out.print(escape(str(page)))


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line: exit status 0 done, 1 failed with a one-line cause, 2 wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # What follows "--" is Beam's.
    end = given.index("--") if "--" in given else len(given)
    ours = given[:end]
    try:
        app([argument for argument in ours if argument != "--debug"] + given[end:])
    except Exception as error:
        if "--debug" in ours:
            traceback.print_exc()
        else:
            _errors.print(f"error: {escape(error_line(error))}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except SystemExit as end:
        # Typer takes the keyboard interrupt and ends without a word.
        if end.code == _INTERRUPTED:
            _errors.print("interrupted; the same command goes on from the last checkpoint")
        raise
