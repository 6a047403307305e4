"""Experiments as small Python files, each with its command, cost and expected results."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

from twofold.components.errors import ConfigError
from twofold.pipeline.config import RunConfig
from twofold.pipeline.config.expected import Expected
from twofold.pipeline.config.printed_curves import PrintedCurve, read_printed_curves


def recipe_names() -> list[str]:
    """Returns the names of all recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str) -> RunConfig:
    """Returns a recipe's configuration.

    Raises:
        ConfigError: if there is no recipe of that name; the message lists the known ones.

    """
    config = _module(name).CONFIG
    if not isinstance(config, RunConfig):
        raise TypeError(
            f"recipe {name}: CONFIG must be a RunConfig, received {type(config).__name__}"
        )
    return config


def describe_recipe(name: str) -> str:
    """Returns a recipe's docstring: what it is, the command, the cost, the expected result."""
    return inspect.getdoc(_module(name)) or ""


def expected_results(name: str) -> tuple[Expected, ...]:
    """Returns what a recipe's metrics were measured to be."""
    found: tuple[Expected, ...] = _module(name).EXPECTED
    return found


def printed_curves(name: str) -> tuple[tuple[PrintedCurve, ...], str]:
    """Returns the curves that a recipe's source prints, and the recipe that is the published one.

    A recipe names that one by ``PRINTED_CURVES``; one whose source prints no curve has none.

    Raises:
        ConfigError: if there is no recipe of that name.

    """
    published = getattr(_module(name), "PRINTED_CURVES", None)
    return ((), name) if published is None else (read_printed_curves(published), published)


def _module(name: str) -> ModuleType:
    if name not in recipe_names():
        raise ConfigError(
            f"unknown recipe {name!r}: expected one of {', '.join(recipe_names())}, or a .yaml file"
        )
    return importlib.import_module(f"{__name__}.{name}")
