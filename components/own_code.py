"""Own code of a user: a class of settings by ``module:name``, and what it is for."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any, TypeVar

from twofold.components.errors import SettingsError
from twofold.components.named_objects import import_named

S = TypeVar("S", bound=Any)
_EXPECTED = {"dataclass": "a class that is a dataclass", "function": "a function"}


def find_settings(name: str, base: type[S], key: str) -> type[S]:
    """Imports a class of settings.

    Args:
        name: ``module:name`` of the class, or of what one in the same module names as its
            implementation.
        base: what it derives from.
        key: of the setting that has the name, for messages.

    Raises:
        SettingsError: in one line, if there is no such module or name, the module fails, it is
            neither of the two, or what the settings are for cannot be imported or is of a wrong
            kind.

    """
    found = import_named(name, key)
    if not _derives(found, base):
        module, other = name.partition(":")[0], found
        found = _settings_for(name, base)
        if found is None:
            what = "a class" if isinstance(other, type) else f"a {type(other).__name__}"
            raise SettingsError(
                f"{key}={name} is {what}: expected a class derived from "
                f"{base.__module__}.{base.__name__}, or what such a class in {module} is for, by "
                f'implementation: ClassVar[str] = "{name}"'
            )
    settings: type[S] = found
    _check_implementation(settings, name, key)
    return settings


def _derives(found: object, base: type[Any]) -> bool:
    return isinstance(found, type) and issubclass(found, base) and found is not base


def _settings_for(name: str, base: type[Any]) -> type[Any] | None:
    """Gives the class of settings whose implementation has the name."""
    for each in vars(sys.modules[name.partition(":")[0]]).values():
        if _derives(each, base) and each.implementation == name:
            found: type[Any] = each
            return found
    return None


def _check_implementation(settings: type[Any], name: str, key: str) -> None:
    if not getattr(settings, "trains", True):
        return
    where = f"{key}={name}: {settings.__name__}.implementation"
    if not settings.implementation:
        raise SettingsError(
            f'{where} is missing: expected "module:name" of {_EXPECTED[settings.implemented_by]}'
        )
    found = import_named(settings.implementation, where)
    if settings.implemented_by == "dataclass":
        fits = isinstance(found, type) and dataclasses.is_dataclass(found)
    else:
        fits = callable(found)
    if not fits:
        raise SettingsError(
            f"{where}={settings.implementation}: expected "
            f"{_EXPECTED[settings.implemented_by]}, received type {type(found).__name__}"
        )
