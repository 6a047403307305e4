"""Path arguments of the command line: those on a local disk, and those that may be in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from twofold.components import files


def local(param: typer.CallbackParam, value: Any) -> Any:
    """Refuses a path with a scheme; the callback of every argument that is a local path.

    Raises:
        UsageError: naming the argument, what was received, and what is supported.

    """
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str | Path):
            files.check_local(one, _name(param))
    return value


def local_or_bucket(param: typer.CallbackParam, value: str | None) -> str | None:
    """Refuses a path whose scheme lost a slash, which would be taken for a local one.

    Raises:
        UsageError: naming the argument, what was received, and what is supported.

    """
    if value is not None and not files.is_remote(value):
        files.check_local(value, _name(param), "a path on a local disk, or with ://")
    return value


def _name(param: typer.CallbackParam) -> str:
    if param.param_type_name == "option":
        return max(param.opts, key=len)
    return str(param.metavar or param.name).upper()
