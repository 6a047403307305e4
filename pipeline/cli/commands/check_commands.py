"""Commands that check: `verify` a data set, `doctor` the machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from twofold.pipeline.cli.console import errors, out
from twofold.pipeline.cli.path_arguments import local_or_bucket


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

    raise typer.Exit(verify_dataset(dataset, out=out, errors=errors, decode=decode))


def doctor() -> None:
    """Show versions, devices and memory, and what is missing for which feature.

    Example: twofold doctor
    """
    from twofold.pipeline.cli.doctor import examine

    table = Table(show_header=False, box=None)
    for topic, finding in examine():
        table.add_row(topic, escape(finding))
    out.print(table)
