"""Settings: frozen, strict sections of a configuration, and registries to choose them from.

Nothing here imports TensorFlow, and neither does a module of settings: a configuration is checked
before anything heavy is imported.
"""

from __future__ import annotations

import copyreg
import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from twofold.components import path_schemes
from twofold.components.errors import SettingsError
from twofold.components.own_code import find_settings


class Section(pydantic.BaseModel):
    """A frozen mapping of known keys."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


class Implemented(Section):
    """Settings of something that has a name, and of which there are several kinds.

    Attributes:
        implementation: what the settings are for, as ``package.module:object``. It is imported on
            first use, so that a configuration is read without TensorFlow.
        implemented_by: whether that is a function, or a dataclass.

    """

    implementation: ClassVar[str] = ""
    implemented_by: ClassVar[Literal["function", "dataclass"]] = "function"

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

    So can what nobody registers, where there is a base: ``module:name`` names a class of settings
    in an installed module or in one of the working directory, or what such a class is for; and an
    entry point of the group, such as a package's ``mine = "my_package.methods:MineSettings"``,
    is known by its name.

    Args:
        kind: what is registered, in the singular, for messages.
        key: the field that names a class; its default is the name.
        base: what all classes derive from.
        group: of entry points.
        path: the key of a configuration that chooses, for messages.

    """

    def __init__(
        self,
        kind: str,
        key: str = "name",
        *,
        base: type[S] | None = None,
        group: str = "",
        path: str = "",
    ) -> None:
        self.kind, self.key, self.group, self.path = kind, key, group, path
        self.classes: dict[str, type[S]] = {}
        self._base = base
        self._own: dict[str, type[S]] = {}
        self._renamed: dict[str, str] = {}
        if base is not None:
            _OF_BASE[base] = self

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
        """Gives the class of a name, of a user's own, too.

        Raises:
            SettingsError: if there is none; the message lists the known names. Or if what the name
                says cannot be imported, or is no such class.

        """
        found = self.get(name) or self._import(name)
        if found is None:
            raise SettingsError(f"unknown {self.kind} {name!r}: expected one of {self.expected}")
        return found

    def get(self, name: str) -> type[S] | None:
        """Gives the class of a name, without importing a user's own; None: it is not known yet."""
        return self.classes.get(name) or self._own.get(name)

    def every(self) -> tuple[type[S], ...]:
        """Gives the classes that are registered, and those of a user's own that were named."""
        return (*self.classes.values(), *self._own.values())

    def is_own(self, name: str) -> bool:
        """Says whether a name is of a user's own code, which has to be imported."""
        return self._base is not None and (
            ":" in name or (name not in self.classes and name in self._entry_points)
        )

    @property
    def expected(self) -> str:
        """What can be chosen, for messages."""
        own = "" if self._base is None else ", or module:name of your own"
        return ", ".join([*self, *sorted(self._entry_points)]) + own

    @functools.cached_property
    def _entry_points(self) -> dict[str, str]:
        """What packages declare, by name: module:name each."""
        points = importlib.metadata.entry_points(group=self.group) if self.group else ()
        return {point.name: point.value for point in points if point.name not in self.classes}

    def _import(self, name: str) -> type[S] | None:
        """Imports a user's own class of settings, which is known by the name from then on."""
        if self._base is None or not self.is_own(name):
            return None
        settings = find_settings(self._entry_points.get(name, name), self._base, self.path)
        fields: Any = {self.key: (Literal[name], name)}
        self._own[name] = pydantic.create_model(
            settings.__name__,
            __base__=settings,
            __module__=settings.__module__,
            __doc__=settings.__doc__,
            **fields,
        )
        # Pickle would look for it in the user's module, where another class has its name.
        reduce: Any = functools.partial(_reduce_own, self._base, name)
        copyreg.pickle(self._own[name], reduce)
        return self._own[name]

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
        if isinstance(value, self.every()):
            return value
        if not isinstance(value, Mapping):
            raise PydanticCustomError("model_type", "Input should be a mapping of keys")
        if self.key not in value:
            raise PydanticCustomError(
                "choice_missing",
                "{key} is missing",
                {"key": self.key, "expected": self.expected},
            )
        name = value[self.key]
        if isinstance(name, str):
            name = self._renamed.get(name, name)
        chosen = (self.get(name) or self._import(name)) if isinstance(name, str) else None
        if chosen is None:
            raise PydanticCustomError(
                "choice_unknown",
                "unknown {key}",
                {"key": self.key, "name": name, "expected": self.expected},
            )
        return chosen.model_validate({**value, self.key: name})


# Of a user's own classes, by what those derive from.
_OF_BASE: dict[type[Section], Registry[Any]] = {}


def _reduce_own(base: type[Section], name: str, settings: Section) -> tuple[Any, ...]:
    """Pickles settings of a user's own as their name, which is imported where they are read."""
    return _empty_own, (base, name), settings.__getstate__()


def _empty_own(base: type[Section], name: str) -> Section:
    chosen: type[Section] = _OF_BASE[base][name]
    return chosen.__new__(chosen)


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
