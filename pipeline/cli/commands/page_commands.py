"""Commands that write pages: `report` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.pipeline.cli.commands.run_options import DATASETS
from twofold.pipeline.cli.console import out as console
from twofold.pipeline.cli.path_arguments import local, local_or_bucket


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
