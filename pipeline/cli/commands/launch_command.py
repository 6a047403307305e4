"""Command that runs a recipe with several workers on this machine: `launch`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from twofold.components import cluster
from twofold.components.errors import UsageError
from twofold.pipeline.cli.console import errors
from twofold.pipeline.launch.local_workers import Launch, launch
from twofold.pipeline.runs.worker_directory import FOLDER

# Whatever is not its own is `run`'s.
CONTEXT = {"ignore_unknown_options": True}


def launch_workers(
    context: typer.Context,
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE|FILE.yaml [OPTIONS OF run]...", help="as `twofold run` takes them"
        ),
    ],
    workers: Annotated[
        int, typer.Option(min=2, help="processes, which share the GPUs of this machine")
    ],
    max_restarts: Annotated[
        int,
        typer.Option(
            min=0, help="how often all are started again from the last checkpoint, when one died"
        ),
    ] = 3,
    max_minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help="as of `twofold run`, over all restarts"),
    ] = None,
) -> None:
    """Run a recipe with several workers on this machine, restarted when one dies.

    Example: twofold launch --workers 2 quickstart --set training.epochs=3
    """
    if cluster.VARIABLE in os.environ:
        raise UsageError(
            f"{cluster.VARIABLE} names workers already: expected `twofold run` on each of them, or "
            f"no {cluster.VARIABLE}"
        )
    beam = list(context.obj or ())
    own = arguments[: len(arguments) - len(beam)] if beam else arguments

    def command(minutes: float | None) -> list[str]:
        limit = [] if minutes is None else ["--max-minutes", f"{minutes:.3f}"]
        after = ["--", *beam] if beam else []
        return [sys.executable, "-P", "-m", "twofold", "run", *own, *limit, *after]

    status = launch(
        Launch(
            command=command,
            workers=workers,
            logs=Path(_option(own, "--workdir") or "twofold-runs") / FOLDER,
            name=_option(own, "--name") or _recipe(own),
            max_restarts=max_restarts,
            max_minutes=max_minutes,
            say=lambda line: errors.print(escape(line)),
        )
    )
    raise typer.Exit(status)


def _option(arguments: Sequence[str], name: str) -> str | None:
    """Reads an option of `run` that decides where logs are."""
    found = None
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == name:
            found = following
        elif argument.startswith(f"{name}="):
            found = argument.partition("=")[2]
    return found


def _recipe(arguments: Sequence[str]) -> str:
    """Names the logs after the recipe, or whatever comes first and is no option."""
    plain = [one for one in arguments if not one.startswith("-") and "=" not in one]
    return Path(plain[0]).stem if plain else "run"
