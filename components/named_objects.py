"""Named objects of a user's own: ``module:name``, imported also from the working directory."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from twofold.components.errors import SettingsError

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns names as they are.

    Raises:
        ValueError: if one is not ``module:name``.

    """
    return tuple(check_name(name) for name in names)


def check_name(name: str) -> str:
    """Returns a name as it is.

    Raises:
        ValueError: if it is not ``module:name``.

    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"expected module:name, such as mymodule:MyClass, received {name!r}")
    return name


def import_named(name: str, key: str) -> Any:
    """Imports what a setting names.

    The working directory is searched after all else, as it stays from then on, so that no file in
    it hides an installed module.

    Args:
        name: ``module:name``.
        key: of the setting, for messages.

    Raises:
        SettingsError: if there is no such module or no such name in it, or the module fails.

    """
    module_name, _, inner = check_name(name).partition(":")
    here = str(Path.cwd())
    if not {here, ""} & {*sys.path}:
        sys.path.append(here)
    found: Any = _import(module_name, key, here)
    for part in inner.split("."):
        if not hasattr(found, part):
            module = sys.modules[module_name]
            where = getattr(module, "__file__", None) or "no file"
            raise SettingsError(
                f"{key}={name}: {module_name} ({where}) has no {inner}: expected the name of "
                f"something in it"
            )
        found = getattr(found, part)
    return found


def _import(name: str, key: str, here: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module itself, or a package that it would be in.
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise SettingsError(
                f"{key}: there is no module {name}: expected one that is installed, or a file in "
                f"the working directory {here}"
            ) from None
        raise SettingsError(f"{key}: importing {name} failed: {error}") from error
    except Exception as error:
        raise SettingsError(
            f"{key}: importing {name} failed: {type(error).__name__}: {error}"
        ) from error
