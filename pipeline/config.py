"""The configuration of a run: frozen, strict, and complete."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import yaml
from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


def _ascending(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 < values[0] <= values[1]:
        raise PydanticCustomError("range", "Input should be two numbers above 0, the lower first")
    return values


Share = Annotated[float, Field(ge=0.0, le=1.0)]
# Lists in YAML are tuples here, which is all that strictness has to overlook.
Range = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_ascending)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the key."""


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


class DataConfig(_Section):
    """Where images come from and how they are prepared."""

    source: Literal["dsprites", "npz", "folder"] = "dsprites"
    path: Texts = Field((), description="files or folders of the source; none for dsprites")
    images: int = Field(20_000, ge=1, description="dsprites: how many images to generate")
    image_field: str | None = Field(
        None, description="npz: array of images; found by name if not given"
    )
    label_field: str | None = Field(None, description="npz: array of labels")
    latents_field: str | None = Field(None, description="npz: array of latents")
    latent_names: Texts = Field((), description="npz: names of the latents' columns")
    label_latent: str | None = Field(None, description="npz: the latent that is the label")
    image_size: int | None = Field(
        None, ge=8, description="side in pixels of what the encoder sees; none: the images' own"
    )
    test_share: float = Field(
        0.2, ge=0.0, lt=1.0, description="held out by key, if the source has no split of its own"
    )
    split_seed: int = Field(0, ge=0, description="another number gives another split")
    max_reject_share: Share = Field(0.01, description="stop if more of the images cannot be read")
    images_per_shard: int = Field(2048, ge=1)

    @pydantic.field_validator("path", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _path_where_needed(self) -> DataConfig:
        if self.source == "npz" and len(self.path) != 1:
            raise ValueError(f"data.path must name one .npz file, received {list(self.path)}")
        if self.source == "dsprites" and self.path:
            raise ValueError("data.path must be empty for data.source=dsprites, which is generated")
        return self


class AffineViewsConfig(_Section):
    """Rotation, translation, scaling."""

    policy: Literal["affine"] = "affine"
    rotation_degrees: float = Field(90.0, ge=0.0, le=180.0)
    translation: float = Field(0.2, ge=0.0, le=1.0, description="share of the side")
    scale: Range = (0.8, 1.2)
    border: Literal["zero", "wrap"] = "zero"
    interpolation: Literal["bilinear", "nearest"] = "bilinear"


class CropViewsConfig(_Section):
    """Random resized crop, flip, colour affine map."""

    policy: Literal["crop"] = "crop"
    area: Range = (0.2, 1.0)
    aspect: Range = (3 / 4, 4 / 3)
    flip: bool = True
    brightness: float = Field(0.6, ge=0.0, le=1.0)
    jitter: float = Field(0.2, ge=0.0, le=1.0)


class CoreConfig(_Section):
    """The small convolutional network of recipe E."""

    name: Literal["core"] = "core"
    filters: Widths = (6, 16)
    units: Widths = (120, 84, 84)
    pooling: Literal["flatten", "average"] = "flatten"
    initializer: Literal["keras", "pytorch"] = "pytorch"


class Conv4Config(_Section):
    """The four strided convolutions of recipe A."""

    name: Literal["conv4"] = "conv4"
    width: int = Field(128, ge=1)
    initializer: Literal["keras", "pytorch"] = "keras"


class SimCLRConfig(_Section):
    """NT-Xent over 2N views."""

    name: Literal["simclr"] = "simclr"
    temperature: float = Field(0.5, gt=0.0)
    projector: Widths = Field((), description="widths of the layers; empty: identity")


class TrainingConfig(_Section):
    """Batches, optimizer and how long."""

    batch_size: int = Field(1000, ge=2, description="images a step over all replicas")
    epochs: int = Field(60, ge=1)
    optimizer: Literal["adam"] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0)
    warmup_epochs: float = Field(0.0, ge=0.0)
    schedule_epochs: float | None = Field(
        None, gt=0.0, description="epochs to the end of the cosine; none: training.epochs"
    )
    replicas: int | None = Field(
        None, ge=1, description="none: all GPUs; on a CPU this many logical devices"
    )
    log_every: int = Field(16, ge=1, description="steps")
    checkpoint_every_epochs: int = Field(5, ge=1)


class EvaluationConfig(_Section):
    """Measures of the encoder."""

    probe_epochs: int = Field(10, ge=1, description="of the recipe's linear probe")
    probe_schedule_epochs: int | None = Field(100, ge=1)
    probe_learning_rate: float = Field(1e-3, gt=0.0)
    probe_batch_size: int = Field(1000, ge=1)
    regularisation: float = Field(
        1.0, gt=0.0, description="scikit-learn's C of the logistic regression"
    )
    neighbours: int = Field(20, ge=1, description="k of kNN")
    neighbour_temperature: float = Field(0.07, gt=0.0)
    rsm_images: int = Field(600, ge=2)
    rsm_latent: str | None = Field(
        None, description="latent to sort by; none: the class, or the first latent"
    )


class RunConfig(_Section):
    """A whole run, from images to a served encoder."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(0, ge=0, lt=2**31)
    data: DataConfig = DataConfig()
    views: Annotated[AffineViewsConfig | CropViewsConfig, Field(discriminator="policy")] = (
        AffineViewsConfig()
    )
    encoder: Annotated[CoreConfig | Conv4Config, Field(discriminator="name")] = CoreConfig()
    method: SimCLRConfig = SimCLRConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()


class _Loader(yaml.SafeLoader):
    """YAML 1.1, but for 1e-3, which is the number that YAML 1.2 and everybody takes it for."""


class _Dumper(yaml.SafeDumper):
    """Writes what ``_Loader`` reads back: the text 1e-3 in quotes."""


for _yaml in (_Loader, _Dumper):
    _yaml.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def parse_config(values: Mapping[str, Any], origin: str) -> RunConfig:
    """Checks a configuration.

    Args:
        values: nested plain values.
        origin: the file or recipe they come from, for messages.

    Raises:
        ConfigError: naming each key at fault, what was expected, what was received, and the nearest
            known key.

    """
    try:
        return RunConfig.model_validate(values)
    except pydantic.ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise ConfigError(f"{origin}: {problems}") from None


def load_yaml(path: Path) -> RunConfig:
    """Reads a configuration that ``to_yaml`` (``twofold show``) wrote or a person edited.

    Raises:
        ConfigError: if the file is missing, is no YAML mapping, or a value is not accepted.

    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such configuration file") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected a YAML file, received: {cause}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, received {type(values).__name__}")
    return parse_config(values, str(path))


def to_yaml(config: RunConfig) -> str:
    """Writes every key of a configuration, in the order of its definition."""
    values = config.model_dump(mode="json")
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def override(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """Applies ``key.path=value`` settings in their order; values are read as YAML.

    The choice of an encoder or a policy is applied before the other settings: it starts from the
    defaults of what is chosen, which the others change.

    Raises:
        ConfigError: if a setting has no "=", a key is unknown, or a value is not accepted.

    """
    values = config.model_dump(mode="json")
    assignments = [_parse_setting(setting) for setting in settings]
    for path, value in sorted(assignments, key=lambda one: not _is_choice(one[0])):
        _assign(values, path, value)
    return parse_config(values, "--set " + " ".join(settings)) if settings else config


def _parse_setting(setting: str) -> tuple[list[str], Any]:
    path, separator, text = setting.partition("=")
    if not separator or not path:
        raise ConfigError(f"--set {setting}: expected KEY.PATH=VALUE")
    try:
        return path.split("."), yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError):
        raise ConfigError(f"--set {setting}: expected a value in YAML, received {text}") from None


def _is_choice(path: list[str]) -> bool:
    return len(path) == 2 and path[1] in ("name", "policy")


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    section = values
    for depth, key in enumerate(path[:-1], 1):
        # An unknown key is put in like any other, for the check that follows to name.
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise ConfigError(f"--set {'.'.join(path)}: {'.'.join(path[:depth])} has no keys")
    if _is_choice(path) and section.get(path[-1]) != value:
        section.clear()
    section[path[-1]] = value


# Where pydantic speaks of Python's types, what a person writes in YAML.
_EXPECTED = {
    "model_type": "Input should be a mapping of keys",
    "model_attributes_type": "Input should be a mapping of keys",
    "tuple_type": "Input should be a list",
}


def _describe(problem: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    model, path = _section_of(location)
    if problem["type"] == "extra_forbidden":
        return f"unknown key {'.'.join(path)}{_nearest(path[-1], model.model_fields)}"
    if problem["type"] == "union_tag_invalid":
        expected = problem["ctx"]["expected_tags"].replace("'", "")
        key = problem["ctx"]["discriminator"].strip("'")
        return f"unknown {path[0]}.{key} {problem['ctx']['tag']!r}: expected one of {expected}"
    if problem["type"] == "union_tag_not_found":
        key = problem["ctx"]["discriminator"].strip("'")
        known = ", ".join(_tag(one) for one in _choices(RunConfig.model_fields[path[0]]))
        return f"{path[0]}.{key} is missing: expected one of {known}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    where = ".".join(path) or "the configuration"
    message = _EXPECTED.get(problem["type"], problem["msg"])
    message = message[0].lower() + message[1:]
    return f"{where}: {message}, received {problem['input']!r}"


def _section_of(location: list[str]) -> tuple[type[pydantic.BaseModel], list[str]]:
    """Returns the section a problem is in, and its key path without pydantic's tags."""
    model: type[pydantic.BaseModel] = RunConfig
    tagged: dict[str, type[_Section]] = {}
    path = []
    for part in location:
        if part in tagged:
            model, tagged = tagged[part], {}
            continue
        path.append(part)
        choices = _choices(model.model_fields.get(part))
        tagged = {_tag(choice): choice for choice in choices} if len(choices) > 1 else {}
        model = choices[0] if len(choices) == 1 else model
    return model, path


def _choices(field: FieldInfo | None) -> list[type[_Section]]:
    """Returns the sections a key can hold; empty for a plain value."""
    if field is None:
        return []
    candidates = typing.get_args(field.annotation) or (field.annotation,)
    return [one for one in candidates if isinstance(one, type) and issubclass(one, _Section)]


def _tag(model: type[_Section]) -> str:
    """Returns what names a section among its alternatives."""
    key = "policy" if "policy" in model.model_fields else "name"
    return str(model.model_fields[key].default)


def _nearest(key: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    if near:
        return f": did you mean {near[0]!r}?"
    return f": expected one of {', '.join(names)}"
