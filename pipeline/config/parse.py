"""Configuration from and to YAML, settings on the command line, and messages about them."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml
from pydantic.fields import FieldInfo

from twofold.components.encoders.settings import ENCODERS
from twofold.components.errors import ConfigError
from twofold.components.methods.settings import METHODS
from twofold.components.settings import ChosenFrom, Registry, Section
from twofold.components.transforms.settings import VIEWS
from twofold.pipeline.config.data import DataConfig, change_source, data_keys, source_field
from twofold.pipeline.config.effects.training_effects import drop_unread_training
from twofold.pipeline.config.run import RECORDED, RunConfig
from twofold.pipeline.tensorflow_import import import_tensorflow

# Similarity, 0 to 1, from which a known key is suggested: "epoch" to "epochs" is 0.91, "nope" to
# "compile" 0.55.
_CLOSE = 0.7
# The keys that choose between kinds of a section.
_CHOICES = ("name", "policy", "kind")


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but for 1e-3, which is the number that YAML 1.2 and everybody takes it for."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Refuses a key that stands twice, one of which would be lost, and merges ``<<``."""
        flat = self.__dict__.setdefault("flat", set())
        # What was merged may hold the keys of both.
        if id(node) not in flat:
            flat.add(id(node))
            _check_keys(node)
        super().flatten_mapping(node)


def _check_keys(node: yaml.MappingNode) -> None:
    there: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in there:
                line = key.start_mark.line + 1
                raise _TwiceError(f"the key {key.value} stands twice, again in line {line}")
            there.add(key.value)


class _TwiceError(ValueError):
    """A key that stands twice in one mapping."""


class Dumper(yaml.SafeDumper):
    """Writes what ``_Loader`` reads back: the text 1e-3 in quotes."""


for _yaml in (_Loader, Dumper):
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def parse_config(values: Mapping[str, Any], origin: str, *, recorded: bool = False) -> RunConfig:
    """Checks a configuration.

    Args:
        values: nested plain values.
        origin: the file or recipe they come from, for messages.
        recorded: whether a run was made from them; settings without effect are then let be.

    Raises:
        ConfigError: naming each key at fault, what was expected, what was received, and the nearest
            known key.

    """
    if _names_own_code(values):
        # Which imports it, or may do so: before that, its start-up messages are to be kept back.
        import_tensorflow()
    try:
        return RunConfig.model_validate(values, context={RECORDED: recorded})
    except pydantic.ValidationError as error:
        problems = "; ".join(_describe(problem, values) for problem in error.errors())
        raise ConfigError(f"{origin}: {problems}") from None


def _names_own_code(values: Any) -> bool:
    """Tells whether a section, at any depth, is chosen from a user's own code."""
    if isinstance(values, Mapping):
        chosen = (
            registry.is_own(name)
            for registry in (METHODS, ENCODERS, VIEWS)
            if isinstance(name := values.get(registry.key), str)
        )
        return any(chosen) or any(_names_own_code(value) for value in values.values())
    return isinstance(values, list | tuple) and any(map(_names_own_code, values))


def load_yaml(path: Path) -> RunConfig:
    """Reads a configuration that ``to_yaml`` (``twofold show``) wrote or a person edited.

    Raises:
        ConfigError: if the file is missing, is no YAML mapping, or a value is not accepted.

    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder: expected a YAML file") from None
    except _TwiceError as error:
        raise ConfigError(f"{path}: {error}: expected it once") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected a YAML file, received: {cause}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, received {type(values).__name__}")
    return parse_config(values, str(path))


def to_yaml(config: RunConfig) -> str:
    """Writes every key of a configuration, in the order of its definition."""
    values = config.model_dump(mode="json")
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True)


def override(
    config: RunConfig, settings: Sequence[str], *, section: str = "", origin: str = ""
) -> RunConfig:
    """Applies ``key.path=value`` settings in their order; values are read as YAML.

    The choice of a method, an encoder or a policy is applied before the other settings: it starts
    from the defaults of what is chosen, which the others change. So is that of a data source, which
    drops what was set for the one before. A method without training drops what was set for one.

    Args:
        config: what they change.
        settings: ``key.path=value`` each.
        section: the key that their paths are below; empty for none.
        origin: what was typed, for messages; empty for ``--set`` with the settings.

    Raises:
        ConfigError: if a setting has no "=", a key is unknown, or a value is not accepted.

    """
    values = config.model_dump(mode="json")
    parsed = [_parse_setting(setting) for setting in settings]
    assignments = [([section, *path] if section else path, value) for path, value in parsed]
    for path, value in sorted(assignments, key=lambda one: _order(one[0])):
        _assign(values, path, value)
    whole = ["training"] in (path for path, _ in assignments)
    given = {path[1] for path, _ in assignments if path[0] == "training" and len(path) > 1}
    drop_unread_training(values, values["training"] if whole else given)
    origin = origin or "--set " + " ".join(settings)
    return parse_config(values, origin) if settings else config


def _parse_setting(setting: str) -> tuple[list[str], Any]:
    path, separator, text = setting.partition("=")
    if not separator or not all(path.split(".")):
        raise ConfigError(f"--set {setting}: expected KEY.PATH=VALUE")
    try:
        return path.split("."), yaml.load(text, _Loader)
    except _TwiceError as error:
        raise ConfigError(f"--set {setting}: {error}: expected it once") from None
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {setting}: expected a value in YAML, received {text}") from None


_SOURCE = ["data", "source"]


def _is_choice(path: list[str]) -> bool:
    return (len(path) > 1 and path[-1] in _CHOICES) or path == _SOURCE


def _order(path: list[str]) -> tuple[bool, int]:
    """Puts choices first, the outer before the inner."""
    return (False, len(path)) if _is_choice(path) else (True, 0)


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    section = values
    for depth, key in enumerate(path[:-1], 1):
        # An unknown key is put in like any other, for the check that follows to name.
        if section.get(key) is None:
            section[key] = {}
        section = section[key]
        if not isinstance(section, dict):
            raise ConfigError(f"--set {'.'.join(path)}: {'.'.join(path[:depth])} has no keys")
    if path == _SOURCE:
        values["data"] = change_source(section, value)
        return
    if _is_choice(path) and section.get(path[-1]) != value:
        section.clear()
    section[path[-1]] = value


# Where pydantic speaks of Python's types, what a person writes in YAML.
_EXPECTED = {
    "model_type": "Input should be a mapping of keys",
    "model_attributes_type": "Input should be a mapping of keys",
    "tuple_type": "Input should be a list",
    "dict_type": "Input should be a mapping of keys",
}


def _describe(problem: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    if location[:2] == _SOURCE and len(location) > 2:
        return _describe_source(problem, location[2:])
    model, path = _section_of(location, values)
    if problem["type"] == "extra_forbidden":
        keys = data_keys() if model is DataConfig else list(model.model_fields)
        return f"unknown key {'.'.join(path)}{_nearest(path[-1], keys)}"
    if problem["type"] in ("choice_unknown", "choice_missing"):
        context = problem["ctx"]
        where = ".".join([*path, context["key"]])
        if problem["type"] == "choice_missing":
            return f"{where} is missing: expected one of {context['expected']}"
        return f"unknown {where} {context['name']!r}: expected one of {context['expected']}"
    if problem["type"] == "union_tag_invalid":
        expected = problem["ctx"]["expected_tags"].replace("'", "")
        key = problem["ctx"]["discriminator"].strip("'")
        where = ".".join([*path, key])
        return f"unknown {where} {problem['ctx']['tag']!r}: expected one of {expected}"
    if problem["type"] == "union_tag_not_found":
        key = problem["ctx"]["discriminator"].strip("'")
        known = ", ".join(_tag(one) for one in _choices(model.model_fields[path[-1]]))
        return f"{'.'.join([*path, key])} is missing: expected one of {known}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return _received(problem, ".".join(path) or "the configuration")


def _describe_source(problem: Mapping[str, Any], location: list[str]) -> str:
    """Describes a problem of a source's own setting, which is a key of the data like others."""
    where = ".".join(["data", *location])
    if problem["type"] == "missing":
        name = problem["input"]["name"]
        description = source_field(name, location[0]).description
        return f"{where} is missing, which data.source={name} needs: expected {description}"
    return _received(problem, where)


def _received(problem: Mapping[str, Any], where: str) -> str:
    if problem["type"] == "too_short":
        least = problem["ctx"]["min_length"]
        number = "one" if least == 1 else least
        return f"{where}: expected at least {number}, received {_listed(problem['input'])}"
    message = _EXPECTED.get(problem["type"], problem["msg"])
    if problem["type"] == "string_type" and isinstance(problem["input"], bool | int | float):
        value = problem["input"]
        # YAML reads yes, no, on, off and 007 otherwise than they are written.
        message = (
            'expected text, in quotes where YAML reads it as a number or a truth value ("...")'
        )
        return f"{where}: {message}, received {str(value).lower()}"
    message = message[0].lower() + message[1:]
    return f"{where}: {message}, received {problem['input']!r}"


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _section_of(
    location: list[str], values: Mapping[str, Any]
) -> tuple[type[pydantic.BaseModel], list[str]]:
    """Returns the section a problem is in, and its key path without pydantic's tags."""
    model: type[pydantic.BaseModel] = RunConfig
    tagged: dict[str, type[Section]] = {}
    path = []
    value: Any = values
    for part in location:
        if part in tagged:
            model, tagged = tagged[part], {}
            continue
        path.append(part)
        value = value.get(part) if isinstance(value, Mapping) else None
        field = model.model_fields.get(part)
        choices = _choices(field)
        tagged = {_tag(choice): choice for choice in choices} if len(choices) > 1 else {}
        model = choices[0] if len(choices) == 1 else model
        registry = None if field is None else _registry_in(field.annotation, field.metadata)
        if registry is not None and isinstance(value, Mapping):
            model = registry.get(str(value.get(registry.key))) or model
    return model, path


def _registry_in(annotation: Any, metadata: Iterable[Any]) -> Registry[Any] | None:
    """Returns what a key's section is chosen from; None where there is no choice."""
    for one in metadata:
        if isinstance(one, ChosenFrom):
            return one.registry
    for part in typing.get_args(annotation):
        found = _registry_in(part, getattr(part, "__metadata__", ()))
        if found is not None:
            return found
    return None


def _choices(field: FieldInfo | None) -> list[type[Section]]:
    """Returns the sections a key can hold; empty for a plain value."""
    return [] if field is None else _sections_in(field.annotation)


def _sections_in(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [one for part in typing.get_args(annotation) for one in _sections_in(part)]


def _tag(model: type[Section]) -> str:
    """Returns what names a section among its alternatives."""
    key = next(key for key in reversed(_CHOICES) if key in model.model_fields)
    return str(model.model_fields[key].default)


def _nearest(key: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=_CLOSE)
    if near:
        return f": did you mean {near[0]!r}?"
    return f": expected one of {', '.join(names)}"
