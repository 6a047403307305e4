"""dSprites source: sprites drawn when they are read, from no file."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
import pydantic
from pydantic import Field
from pydantic_core import PydanticCustomError

from twofold.components.data.sources import sprites as dsprites
from twofold.components.data.sources.permuted_split import PermutedSplit
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    LatentSettings,
    Select,
    SourceInfo,
    position_range,
    positions,
    select_all,
)
from twofold.components.settings import Texts

# Raised whenever the same settings draw other pixels, so that prepared data is not reused.
DRAWING_VERSION = 1

_DRAWN_AT_A_TIME = 256
_SHAPE = dsprites.LATENT_NAMES[0]
_CONTENT_ID = f"dsprites drawing {DRAWING_VERSION}"

_subset = functools.lru_cache(maxsize=4)(dsprites.subset)


def _own_latent(name: str) -> str:
    if name not in dsprites.LATENT_NAMES:
        raise PydanticCustomError(
            "latent", "Input should be of {known}", {"known": ", ".join(dsprites.LATENT_NAMES)}
        )
    return name


@SOURCES.register
class DspritesSettings(LatentSettings):
    """Settings of generated sprites."""

    name: Literal["dsprites"] = "dsprites"
    reads_files: ClassVar[bool] = False
    images: int = Field(
        20_000, ge=1, le=dsprites.COMBINATIONS, description="how many images to generate"
    )
    latent_names: Texts = Field(
        (), description="latents to keep of shape, scale, orientation, posX, posY; empty: all"
    )
    label_latent: str | None = Field(None, description="the latent that is the label; null: shape")

    @pydantic.field_validator("latent_names")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_own_latent(name) for name in value)

    @pydantic.field_validator("label_latent")
    @classmethod
    def _known_label(cls, value: str | None) -> str | None:
        return None if value is None else _own_latent(value)

    def build(self) -> DspritesSource:
        """Builds the source."""
        return DspritesSource(
            self.images,
            self.latent_names,
            self.label_latent,
            permuted_split=self.permuted_split,
        )

    @property
    def label_name(self) -> str:
        """The latent that is the label."""
        return self.label_latent or _SHAPE


class DspritesSource:
    """A seeded subset of dSprites, with all or some of its five latents.

    Keys hold the five latent class indices, as in `dsprites/0-3-12-5-31`.

    Args:
        images: how many distinct latent combinations, of 737,280.
        latent_names: which latents an image comes with, in this order; empty for all.
        label_latent: the latent whose class is the label; None for the shape.
        seed: which ones; a smaller subset of one seed lies within a larger one.
        permuted_split: which images are held out; None leaves that open.

    """

    def __init__(
        self,
        images: int,
        latent_names: Sequence[str] = (),
        label_latent: str | None = None,
        *,
        seed: int = 0,
        permuted_split: PermutedSplit | None = None,
    ):
        self._images = images
        self._latents = tuple(latent_names) or dsprites.LATENT_NAMES
        self._label = label_latent or _SHAPE
        self._seed = seed
        self._permuted_split = permuted_split

    def info(self) -> SourceInfo:
        """Names, and a fingerprint of the settings."""
        settings: dict[str, object] = {
            "images": self._images,
            "seed": self._seed,
            "version": DRAWING_VERSION,
        }
        # What is read as ever has the fingerprint that it ever had.
        if self._latents != dsprites.LATENT_NAMES:
            settings["latents"] = self._latents
        if self._label != _SHAPE:
            settings["label"] = self._label
        if self._permuted_split is not None:
            settings["permuted_split"] = self._permuted_split.model_dump()
        text = json.dumps({"dsprites": settings}, sort_keys=True)
        return SourceInfo(
            kind="dsprites",
            class_names=dsprites.class_names(self._label),
            latent_names=self._latents,
            fingerprint=hashlib.sha256(text.encode()).hexdigest(),
            items=self._images,
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Positions of the subset."""
        return positions(0, self._images, items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The sprites at a task's positions, those selected drawn some hundreds at a time."""
        positions, permuted = position_range(task), self._permuted_split
        label = dsprites.LATENT_NAMES.index(self._label)
        columns = [dsprites.LATENT_NAMES.index(name) for name in self._latents]
        classes = _subset(self._images, self._seed)[positions.start : positions.stop]
        for start in range(0, len(classes), _DRAWN_AT_A_TIME):
            some = classes[start : start + _DRAWN_AT_A_TIME]
            keys = ["dsprites/" + "-".join(map(str, row)) for row in some.tolist()]
            chosen = np.array([selected(key, _CONTENT_ID) for key in keys])
            drawn = iter(dsprites.render(some[chosen]))
            values = dsprites.latent_values(some)[:, columns].tolist()
            rows = zip(keys, some.tolist(), values, chosen, strict=True)
            for position, (key, row, latents, draw) in enumerate(rows, positions.start + start):
                yield Item(
                    key,
                    next(drawn) if draw else b"",
                    label=row[label],
                    latents=tuple(latents),
                    split=None if permuted is None else permuted.split_of(position, self._images),
                    content_id=_CONTENT_ID,
                )
