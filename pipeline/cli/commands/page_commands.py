"""Commands that show runs: `report`, `compare` and `tensorboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.pipeline.cli.commands.run_options import DATASETS
from twofold.pipeline.cli.console import out as console
from twofold.pipeline.cli.path_arguments import local, local_folder, local_or_bucket
from twofold.pipeline.tensorflow_import import import_tensorflow


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

    directory = datasets or str(run_directory.resolve().parent / DATASETS)
    console.print(escape(str(write_report(run_directory, directory))))


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
    """Compare runs with the first one, and say which differences exceed noise.

    Runs that differ in their seed alone are taken together.

    Example: twofold compare twofold-runs/quickstart twofold-runs/short
    """
    from twofold.pipeline.reports.compare_runs import compare_runs

    compare_runs(run_directories, out, console)


def tensorboard(
    run_directories: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="directories of runs or studies; none: all runs of the workdir",
            callback=local,
        ),
    ] = None,
    workdir: Annotated[
        Path, typer.Option(help="where runs are kept", callback=local_folder)
    ] = Path("twofold-runs"),
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="to listen on; none: 6006, or the next that is free"),
    ] = None,
) -> None:
    """Start TensorBoard over runs, finished or in training, until it is interrupted.

    Example: twofold tensorboard twofold-runs/quickstart
    """
    import_tensorflow()
    from twofold.pipeline.cli.tensorboard_server import serve

    serve(run_directories or [], workdir, host, port, lambda line: console.print(escape(line)))
