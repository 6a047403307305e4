"""Path arguments of the command line: those on a local disk, and those that may be in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from twofold.components import files, path_schemes
from twofold.components.errors import UsageError

# Schemes of file systems that end with their process.
VANISHING = ("memory",)


def local(param: typer.CallbackParam, value: Any) -> Any:
    """Refuses a path with a scheme; the callback of every argument that is a local path.

    Raises:
        UsageError: naming the argument, what was received, and what is supported.

    """
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str | Path):
            path_schemes.check_local(one, _name(param))
    return value


def local_folder(param: typer.CallbackParam, value: Path) -> Path:
    """Refuses a path with a scheme, and a file where a folder is expected.

    Raises:
        UsageError: naming the argument, what was received, and what is supported.

    """
    local(param, value)
    _check_folder(param, value)
    return value


def _check_folder(param: typer.CallbackParam, path: Path) -> None:
    try:
        there = next((one for one in (path, *path.parents) if one.exists()), None)
    except OSError:
        # Whatever is wrong with it, the command will say.
        return
    if there is not None and not there.is_dir():
        raise UsageError(
            f"{_name(param)}: expected a folder or a new path, received {path}: {there} is a file"
        )


def local_or_bucket(param: typer.CallbackParam, value: str | None) -> str | None:
    """Refuses a path that is neither local nor outlives the command, or whose scheme is misspelt.

    Raises:
        UsageError: naming the argument, what was received, and what is supported.

    """
    if value is None:
        return None
    path_schemes.check_scheme(value, _name(param))
    scheme = value.partition("://")[0] if files.is_remote(value) else ""
    if scheme == "file":
        path_schemes.check_local(value, _name(param))
    if not scheme:
        _check_folder(param, Path(value).expanduser())
    check_lasting(value, _name(param))
    return value


def check_lasting(path: str, name: str) -> None:
    """Refuses a path in a file system that begins and ends with the command.

    Args:
        path: what was received.
        name: of the argument or setting that it is.

    Raises:
        UsageError: naming it, what was received, and what is supported.

    """
    scheme = path.partition("://")[0].lower() if files.is_remote(path) else ""
    if scheme in VANISHING:
        raise UsageError(
            f"{name}: {scheme}:// begins empty, and what is written there is lost when the command "
            f"ends: expected a path on a local disk or in a bucket, as in gs://BUCKET/FOLDER, "
            f"received {path}"
        )


def plain_name(param: typer.CallbackParam, value: str | None) -> str | None:
    """Refuses a path with a scheme where a name is expected.

    Raises:
        UsageError: naming the argument, what was received, and what is supported.

    """
    if value is not None and ":/" in value:
        raise UsageError(
            f"{_name(param)}: expected a name of letters, digits and . _ -, received {value}"
        )
    return value


def _name(param: typer.CallbackParam) -> str:
    if param.param_type_name == "option":
        return max(param.opts, key=len)
    return str(param.metavar or param.name).upper()
