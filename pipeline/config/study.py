"""Study settings: several encoders of the same images, compared."""

from __future__ import annotations

import itertools
import json
import re
from typing import Annotated, Any

import pydantic
from pydantic import Field

from twofold.components.settings import Section, Share, Texts
from twofold.pipeline.config.evaluation import Fractions

_Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[tuple[_Seed, ...], Field(strict=False, min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
# Of an encoder, of which a sweep makes several.
_Swept = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9_.-]*$")]
_Values = Annotated[tuple[Any, ...], Field(strict=False, min_length=1)]
# What a member's settings cannot set, and what does.
_OF_THE_STUDY = {"seed": "study.seeds", "name": "name", "study": "study"}


class StudyConfig(Section):
    """Several encoders of the same images, measured side by side."""

    encoders: dict[_Name, Texts] = Field(
        default_factory=dict,
        description="by name, the settings that make one of this configuration; empty: those of "
        "sweep alone",
    )
    sweep: dict[str, _Values] = Field(
        default_factory=dict,
        description="values by setting: every combination of them makes one more encoder of each, "
        "named like learning_rate-0.01",
    )
    seeds: Seeds = Field((0,), description="each trains every encoder once, and occurs once")
    pixels: _Name | None = Field("raw", description="name of the images themselves; null: left out")
    pixel_epochs: int = Field(25, ge=1, description="epochs of the recipe's probe on pixels")
    label_fractions: Fractions = Field(
        (),
        description="shares of the labels; a probe, or a supervised network, then takes its epochs "
        "divided by the root of the share",
    )
    fraction_probe_epochs: int | None = Field(
        None,
        ge=1,
        description="epochs of a probe on all labels, where it is a point of the curves over "
        "label_fractions; null: the encoder's evaluation.probe_epochs",
    )
    fraction_training_epochs: int | None = Field(
        None,
        ge=1,
        description="likewise of a supervised network, which is then trained for these curves "
        "alone; null: its training.epochs",
    )
    curve_groups: dict[_Name, Texts] = Field(
        default_factory=dict,
        description="figures of these curves by name, with the encoders in each; empty: one of all",
    )
    pictured: dict[_Name, _Swept] = Field(
        default_factory=dict,
        description="pictures of training images by name, with the encoder whose images they are",
    )
    pictured_images: int = Field(20, ge=1, le=40, description="how many images each of them shows")
    rsm_images: int | None = Field(
        600, ge=2, description="held-out images in a similarity matrix; null: all"
    )
    overlaid: Texts = Field(
        (),
        description="encoders whose similarities one more histogram shows over each other; empty: "
        "none",
    )
    rsm_latents: Texts = Field((), description="latents that matrices are sorted by; empty: all")
    reference: dict[_Swept, Share] = Field(
        default_factory=dict, description="published accuracy by encoder, to show beside ours"
    )

    @pydantic.model_validator(mode="after")
    def _are_some(self) -> StudyConfig:
        if not self.encoders and not self.sweep:
            raise ValueError("study.encoders: expected some, or study.sweep, received neither")
        for key, settings in {**self.encoders, "": tuple(f"{key}=" for key in self.sweep)}.items():
            for setting in settings:
                section = setting.partition("=")[0].partition(".")[0]
                if section in _OF_THE_STUDY:
                    place = f"study.encoders.{key}: {setting}" if key else f"study.sweep.{section}"
                    raise ValueError(
                        f"{place} is no encoder's own: expected {_OF_THE_STUDY[section]}=... of "
                        f"the whole study"
                    )
        return self

    @pydantic.model_validator(mode="after")
    def _names_differ(self) -> StudyConfig:
        encoders = encoders_of(self)
        if self.pixels in encoders:
            raise ValueError(
                f"study.pixels={self.pixels}: an encoder is called so: expected another name"
            )
        measured = [*encoders, *([] if self.pixels is None else [self.pixels])]
        for name in self.reference:
            if name not in measured:
                raise ValueError(
                    f"study.reference.{name} has no effect, since nothing is called so: expected "
                    f"one of {', '.join(measured)}"
                )
        shown = {f"curve_groups.{name}": group for name, group in self.curve_groups.items()}
        shown |= {f"pictured.{name}": (one,) for name, one in self.pictured.items()}
        for key, names in (shown | {"overlaid": self.overlaid}).items():
            known = [*encoders] if key.startswith("pictured") else measured
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"study.{key}: nothing is called {name!r}: expected some of "
                        f"{', '.join(known)}"
                    )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"study.seeds: expected each once, received {list(self.seeds)}")
        return self


def encoders_of(study: StudyConfig) -> dict[str, tuple[str, ...]]:
    """Gives the settings of every encoder by its name, those of a sweep among them.

    Raises:
        ValueError: if two combinations of a sweep have one name.

    """
    if not study.sweep:
        return dict(study.encoders)
    bases: dict[str, Texts] = study.encoders or {"": ()}
    members: dict[str, tuple[str, ...]] = {}
    for base, settings in bases.items():
        for values in itertools.product(*study.sweep.values()):
            point = dict(zip(study.sweep, values, strict=True))
            parts = [f"{_short(key, study.sweep)}-{_text(point[key])}" for key in point]
            swept = [f"{key}={json.dumps(value)}" for key, value in point.items()]
            name = "-".join(filter(None, (base, *parts)))
            if name in members:
                raise ValueError(
                    f"study.sweep: two combinations are called {name}: expected each value "
                    f"once, and study.encoders for what has no short name"
                )
            members[name] = (*settings, *swept)
    return members


def _short(key: str, keys: dict[str, Any]) -> str:
    """Gives the end of a key, or all of it where another one ends alike."""
    end = key.rpartition(".")[2]
    return end if [one.rpartition(".")[2] for one in keys].count(end) == 1 else key


def _text(value: Any) -> str:
    """Writes a value as a part of a name: 0.01, adam, 6_16 for [6, 16]."""
    if isinstance(value, list | tuple):
        return "_".join(map(_text, value))
    text = value if isinstance(value, str) else json.dumps(value)
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")
