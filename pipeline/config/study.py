"""Study settings: several encoders of the same images, compared."""

from __future__ import annotations

from typing import Annotated

import pydantic
from pydantic import Field

from twofold.components.settings import Section, Share, Texts
from twofold.pipeline.config.evaluation import Fractions

_Seed = Annotated[int, Field(ge=0, lt=2**31)]
Seeds = Annotated[tuple[_Seed, ...], Field(strict=False, min_length=1)]
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class StudyConfig(Section):
    """Several encoders of the same images, measured side by side."""

    encoders: dict[_Name, Texts] = Field(
        min_length=1, description="by name, the settings that make one of this configuration"
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
    pictured: dict[_Name, _Name] = Field(
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
    reference: dict[_Name, Share] = Field(
        default_factory=dict, description="published accuracy by encoder, to show beside ours"
    )

    @pydantic.model_validator(mode="after")
    def _names_differ(self) -> StudyConfig:
        if self.pixels in self.encoders:
            raise ValueError(
                f"study.pixels={self.pixels}: an encoder is called so: expected another name"
            )
        measured = [*self.encoders, *([] if self.pixels is None else [self.pixels])]
        for name in self.reference:
            if name not in measured:
                raise ValueError(
                    f"study.reference.{name} has no effect, since nothing is called so: expected "
                    f"one of {', '.join(measured)}"
                )
        shown = {f"curve_groups.{name}": group for name, group in self.curve_groups.items()}
        shown |= {f"pictured.{name}": (one,) for name, one in self.pictured.items()}
        for key, names in (shown | {"overlaid": self.overlaid}).items():
            known = [*self.encoders] if key.startswith("pictured") else measured
            for name in names:
                if name not in known:
                    raise ValueError(
                        f"study.{key}: nothing is called {name!r}: expected some of "
                        f"{', '.join(known)}"
                    )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"study.seeds: expected each once, received {list(self.seeds)}")
        return self
