"""Data settings: where images come from, how they are prepared, and which are trained on.

The settings of the source are keys of this section like the others: ``data.source=folder``,
``data.path=...``. In code they are an object of their own, ``DataConfig.source``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from twofold.components.data.sources import SOURCES, DspritesSettings
from twofold.components.data.sources.source import SourceSettings
from twofold.components.settings import ChosenFrom, OffIsText, RangeWithEnds, Section, Share

Rules = Annotated[tuple[dict[str, RangeWithEnds], ...], Field(strict=False)]


class DataConfig(Section):
    """Where images come from and how they are prepared."""

    source: Annotated[SourceSettings, ChosenFrom(SOURCES)] = Field(
        DspritesSettings(), description="where images come from; its own settings follow"
    )
    image_size: int | None = Field(
        None, ge=8, description="side in pixels of what the encoder sees; null: the images' own"
    )
    test_share: float = Field(
        0.2,
        ge=0.0,
        lt=1.0,
        description="share of the images held out by key, where the source has no split of its own",
    )
    split_seed: int = Field(0, ge=0, description="another number gives another split")
    validation_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="share of the training images held out, to choose by",
    )
    label_share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="share of the training labels that is used, class by class"
    )
    label_seed: int = Field(0, ge=0, description="another number keeps other labels")
    training_rules: Rules = Field(
        (),
        description="train on images that meet one of them, each ranges of the label's number or "
        "of latents: [{label: [0, 0], posX: [0, 0.3]}, ...]; held-out images are not chosen",
    )
    training_images: int | None = Field(
        None, ge=2, description="how many images to train on, chosen by key; null: all"
    )
    training_seed: int = Field(0, ge=0, description="another number chooses other training images")
    sampling: Literal["uniform", "balanced", "weighted"] = Field(
        "uniform",
        description="training images: each once an epoch; drawn so that each class comes as often; "
        "or drawn by the weights that they were prepared with",
    )
    cache: Annotated[Literal["auto", "memory", "disk", "off"], OffIsText] = Field(
        "auto",
        description="where decoded images are kept; off: decoded whenever they are read; auto: in "
        "memory if they take a tenth of it, or on disk if they take half of what is free, or off",
    )
    licence: str | None = Field(
        None, description="licence of the images, for the card of the model; null: not stated"
    )
    max_reject_share: Share = Field(
        0.01, description="largest share of images that cannot be used; above it preparation stops"
    )
    full_check: bool = Field(
        False,
        description="read every image, also those that an earlier data set has, and compare "
        "checksums; else a file of the same size and time is taken to be the same",
    )
    images_per_shard: int = Field(2048, ge=1, description="most images in a shard")
    shard_bytes: int = Field(128 << 20, ge=1, description="most bytes of images in a shard")
    min_side: int = Field(
        4, ge=1, le=65_500, description="pixels; images with a shorter side below it are rejected"
    )
    max_pixels: int = Field(
        64_000_000,
        ge=1,
        le=89_478_485,
        description="pixels; images of more are rejected, undecoded",
    )
    one_colour: Literal["reject", "keep"] = Field(
        "reject", description="what to do about images whose pixels are all the same"
    )
    other_formats: Literal["reject", "convert"] = Field(
        "convert",
        description="WebP, AVIF, HEIC, TIFF, BMP and GIF: rejected, or converted to PNG, which "
        "TensorFlow reads",
    )
    animated: Literal["reject", "first_frame"] = Field(
        "reject", description="images of several frames or pages: rejected, or the first one taken"
    )
    stored_as: Literal["source", "jpeg", "png", "raw"] = Field(
        "source", description="format in the shards; source keeps each file's bytes where it can"
    )
    stored_size: int | None = Field(
        None,
        ge=1,
        le=65_500,
        description="pixels; images of a longer shorter side are reduced to it; null: none are",
    )
    jpeg_quality: int = Field(95, ge=1, le=100, description="quality of stored_as=jpeg")
    duplicates: Annotated[Literal["off", "exact", "near"], OffIsText] = Field(
        "near", description="what is searched for: images of equal pixels, or look-alikes, too"
    )
    near_duplicate_bits: int = Field(
        6,
        ge=0,
        le=12,
        description="bits of 64 in which perceptual hashes of look-alikes may differ",
    )
    on_duplicate: Literal["report", "remove"] = Field(
        "report", description="what to do about images that are alike in one split"
    )
    on_leakage: Literal["report", "remove"] = Field(
        "report", description="what to do about training images that resemble a held-out one"
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        """Puts the source's own settings into a section of their own."""
        if not isinstance(values, Mapping) or isinstance(values.get("source"), SourceSettings):
            return values
        left = dict(values)
        _forget_formats(left)
        name = left.pop("source", cls.model_fields["source"].default.name)
        if not isinstance(name, str) or name not in SOURCES.classes:
            raise PydanticCustomError(
                "choice_unknown",
                "unknown {key}",
                {"key": "source", "name": name, "expected": ", ".join(SOURCES.classes)},
            )
        own = {key: left.pop(key) for key in list(left) if key in SOURCES[name].setting_names()}
        for key in [key for key in left if key not in cls.model_fields]:
            owners = _owners(key)
            if owners and _says_nothing(left[key], key, owners):
                # Files of earlier versions hold the settings of all sources.
                del left[key]
            elif owners:
                raise ValueError(
                    f"data.{key} is a setting of data.source={', '.join(owners)}, and "
                    f"data.source={name} was chosen: remove it, or choose data.source={owners[0]}"
                )
        return {"source": {"name": name, **own}, **left}

    @pydantic.model_serializer(mode="wrap")
    def _spread(self, handler: Any) -> dict[str, Any]:
        """Writes the source's own settings as keys like the others."""
        values = handler(self)
        own = values.pop("source")
        return {
            "source": own["name"],
            **{key: own[key] for key in self.source.setting_names()},
            **values,
        }


def _forget_formats(values: dict[str, Any]) -> None:
    """Removes what files of earlier versions say of formats where no file of any is read."""
    chosen = values.get("source", DataConfig.model_fields["source"].default.name)
    kind = SOURCES.classes.get(chosen) if isinstance(chosen, str) else None
    if kind is not None and not kind.reads_files and values.get("other_formats") == "reject":
        del values["other_formats"]


def source_field(name: str, key: str) -> FieldInfo:
    """Returns the definition of a source's own setting."""
    return SOURCES[name].model_fields[key]


def data_keys() -> list[str]:
    """Returns every key of a data section, of whatever source."""
    own = [key for name in SOURCES.classes for key in SOURCES[name].setting_names()]
    return list(dict.fromkeys(["source", *own, *DataConfig.model_fields]))


def change_source(values: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """Returns the keys of a data section for another source.

    What the present source alone knows is left out; what both take from one base class stays.
    """
    present = SOURCES.classes.get(values.get("source", ""))
    # What is no text is not hashable, maybe, and no name, which the check that follows says.
    chosen = SOURCES.classes.get(name) if isinstance(name, str) else None
    if present is None or chosen is None or present is chosen:
        return {**values, "source": name}
    dropped = {
        key for key in present.setting_names() if _origin(present, key) is not _origin(chosen, key)
    }
    return {key: value for key, value in values.items() if key not in dropped} | {"source": name}


def without_other_sources(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a recorded configuration without the settings of other sources than its own.

    Runs of earlier versions recorded the settings of all sources.
    """
    data = configuration.get("data")
    source = data.get("source") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(source, str) or source not in SOURCES:
        return dict(configuration)
    own = SOURCES[source].setting_names()
    kept = {key: value for key, value in data.items() if key in own or not _owners(key)}
    return {**configuration, "data": kept}


def _owners(key: str) -> list[str]:
    return [name for name in SOURCES.classes if key in SOURCES[name].setting_names()]


def _says_nothing(value: Any, key: str, owners: Sequence[str]) -> bool:
    defaults = [SOURCES[name].model_fields[key].default for name in owners]
    value = tuple(value) if isinstance(value, list) else value
    return value is None or value == () or value in defaults


def _origin(kind: type[SourceSettings], key: str) -> type | None:
    """Returns the farthest base class that has a setting."""
    holders = [one for one in kind.__mro__ if key in getattr(one, "model_fields", {})]
    return holders[-1] if holders else None
