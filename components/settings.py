"""Settings: frozen, strict sections of a configuration, and registries to choose them from.

Nothing here imports TensorFlow, and neither does a module of settings: a configuration is checked
before anything heavy is imported.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from twofold.components import path_schemes
from twofold.components.errors import SettingsError


class Section(pydantic.BaseModel):
    """A frozen mapping of known keys."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


class Implemented(Section):
    """Settings of something that has a name, and of which there are several kinds.

    Attributes:
        implementation: what the settings are for, as ``package.module:object``. It is imported when
            it is asked for, so that a configuration is read without TensorFlow.

    """

    implementation: ClassVar[str] = ""

    @classmethod
    def load_implementation(cls) -> Any:
        """Imports what the settings are for."""
        return pkgutil.resolve_name(cls.implementation)


S = TypeVar("S", bound=Section)


def import_settings(package: str) -> None:
    """Imports every module ``*_settings`` in a package and its folders, which registers classes.

    A package that has a registry calls this, so that a new kind needs no entry in any list.

    Args:
        package: its full name; it is being imported.

    """
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        if module.name.endswith("_settings"):
            importlib.import_module(module.name)


class Registry(Generic[S]):
    """Settings classes of one kind by their names: what a section of a configuration can be.

    A class is registered where it is defined; a configuration's field is
    ``Annotated[MethodSettings, ChosenFrom(METHODS)]``. The choice is looked up when a value is
    validated, so that what a user's own program registers can be chosen like anything else.

    Args:
        kind: what is registered, in the singular, for messages.
        key: the field that names a class; its default is the name.

    """

    def __init__(self, kind: str, key: str = "name") -> None:
        self.kind, self.key = kind, key
        self.classes: dict[str, type[S]] = {}
        self._renamed: dict[str, str] = {}

    def register(self, settings: type[S]) -> type[S]:
        """Adds a class; a decorator.

        Raises:
            SettingsError: if another class has its name.

        """
        name = str(settings.model_fields[self.key].default)
        if name in self.classes:
            raise SettingsError(
                f"{self.kind} {name!r} is registered already, as "
                f"{self.classes[name].__module__}.{self.classes[name].__name__}: give "
                f"{settings.__module__}.{settings.__name__} another {self.key}"
            )
        self.classes[name] = settings
        return settings

    def rename(self, old: str, name: str) -> None:
        """Lets a configuration of an earlier version choose a class by what it was called then."""
        self._renamed[old] = name

    def __iter__(self) -> Iterator[str]:
        """Gives the names, sorted."""
        return iter(sorted(self.classes))

    def __len__(self) -> int:
        """Gives how many classes there are."""
        return len(self.classes)

    def __contains__(self, name: object) -> bool:
        """Says whether a class has the name."""
        return name in self.classes

    def __getitem__(self, name: str) -> type[S]:
        """Gives the class of a name.

        Raises:
            SettingsError: if there is none; the message lists the known names.

        """
        if name not in self.classes:
            raise SettingsError(f"unknown {self.kind} {name!r}: expected one of {', '.join(self)}")
        return self.classes[name]

    def defaults(self, name: str) -> dict[str, Any]:
        """Gives the settings of a name and their defaults, without the name itself.

        Raises:
            SettingsError: if there is no class of the name.

        """
        return self[name].model_validate({}).model_dump(exclude={self.key})

    def validate(self, value: Any) -> S:
        """Makes settings of a mapping, by the class that it names.

        Raises:
            ValidationError: of that class.
            PydanticCustomError: if the name is unknown or missing.

        """
        if isinstance(value, tuple(self.classes.values())):
            return value  # type: ignore[return-value]
        if not isinstance(value, Mapping):
            raise PydanticCustomError("model_type", "Input should be a mapping of keys")
        expected = ", ".join(self)
        if self.key not in value:
            raise PydanticCustomError(
                "choice_missing", "{key} is missing", {"key": self.key, "expected": expected}
            )
        name = value[self.key]
        if isinstance(name, str):
            name = self._renamed.get(name, name)
        if not isinstance(name, str) or name not in self.classes:
            raise PydanticCustomError(
                "choice_unknown",
                "unknown {key}",
                {"key": self.key, "name": name, "expected": expected},
            )
        return self.classes[name].model_validate({**value, self.key: name})


@dataclass(frozen=True)
class ChosenFrom:
    """Marks a field as settings of one of a registry's classes."""

    registry: Registry[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Validates by the registry, and writes all fields of whatever class was chosen."""
        return core_schema.no_info_plain_validator_function(
            self.registry.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda settings, info: settings.model_dump(mode=info.mode), info_arg=True
            ),
        )


@dataclass(frozen=True)
class Limits:
    """Says in words what a type accepts, where its constraints do not."""

    text: str


def _ascending(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 < values[0] <= values[1]:
        raise PydanticCustomError("range", "Input should be two numbers above 0, the lower first")
    return values


def _ascending_from_zero(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= values[0] <= values[1]:
        raise PydanticCustomError(
            "range", "Input should be two numbers of at least 0, the lower first"
        )
    return values


def _in_order(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise PydanticCustomError("range", "Input should be two numbers, the lower first")
    return values


def _off_is_text(value: Any) -> Any:
    # YAML takes a bare `off` for False.
    return "off" if value is False else value


def _on_off_are_text(value: Any) -> Any:
    # YAML takes a bare `on` for True.
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def local_only(key: str) -> AfterValidator:
    """Refuses a path with a scheme in a setting, by an error that is not the value's alone.

    Args:
        key: of the setting, for the message.

    """

    def check(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for one in (value,) if isinstance(value, str) else value:
            path_schemes.check_local(one, key)
        return value

    return AfterValidator(check)


def scheme_checked(key: str) -> AfterValidator:
    """Refuses a path whose scheme is misspelt in a setting that takes local paths and buckets.

    Args:
        key: of the setting, for the message.

    """

    def check(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for one in (value,) if isinstance(value, str) else value:
            path_schemes.check_scheme(one, key)
        return value

    return AfterValidator(check)


OffIsText = BeforeValidator(_off_is_text)
OnOffAreText = BeforeValidator(_on_off_are_text)
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Lists in YAML are tuples here, which is all that strictness has to overlook.
Range = Annotated[
    tuple[float, float],
    Field(strict=False),
    AfterValidator(_ascending),
    Limits("two numbers above 0, the lower first"),
]
RangeFromZero = Annotated[
    tuple[float, float],
    Field(strict=False),
    AfterValidator(_ascending_from_zero),
    Limits("two numbers of at least 0, the lower first"),
]
RangeWithEnds = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_in_order)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]
