"""dSprites, drawn when they are read: the source that needs no file."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator

import numpy as np

from twofold.components.data.sources import sprites as dsprites
from twofold.components.data.sources.base import (
    Item,
    SourceInfo,
    Wanted,
    all_wanted,
    position_range,
    positions,
)
from twofold.components.errors import DataError

# Raised whenever the same settings draw other pixels, so that prepared data is not reused.
DRAWING_VERSION = 1

_DRAWN_AT_A_TIME = 256
_IDENTITY = f"dsprites drawing {DRAWING_VERSION}"

_subset = functools.lru_cache(maxsize=4)(dsprites.subset)


class DspritesSource:
    """A seeded subset of dSprites; the label is the shape, the latents are the five values.

    Keys hold the five latent class indices, as in `dsprites/0-3-12-5-31`.

    Args:
        images: how many distinct latent combinations, of 737,280.
        seed: which ones; a smaller subset of one seed lies within a larger one.

    Raises:
        DataError: `images` is not between 1 and 737,280.

    """

    def __init__(self, images: int = 20_000, seed: int = 0):
        if not 1 <= images <= dsprites.COMBINATIONS:
            raise DataError(
                f"dsprites: images must be between 1 and {dsprites.COMBINATIONS}, received {images}"
            )
        self._images = images
        self._seed = seed

    def info(self) -> SourceInfo:
        """Names, and a fingerprint of the settings."""
        settings = {"images": self._images, "seed": self._seed, "version": DRAWING_VERSION}
        text = json.dumps({"dsprites": settings}, sort_keys=True)
        return SourceInfo(
            kind="dsprites",
            class_names=dsprites.SHAPE_NAMES,
            latent_names=dsprites.LATENT_NAMES,
            fingerprint=hashlib.sha256(text.encode()).hexdigest(),
            items=self._images,
        )

    def tasks(self, items: int) -> Iterator[bytes]:
        """Positions of the subset."""
        return positions(0, self._images, items)

    def read(self, task: bytes, wanted: Wanted = all_wanted) -> Iterator[Item]:
        """The sprites at a task's positions, those wanted drawn some hundreds at a time."""
        place = position_range(task)
        classes = _subset(self._images, self._seed)[place.start : place.stop]
        for start in range(0, len(classes), _DRAWN_AT_A_TIME):
            some = classes[start : start + _DRAWN_AT_A_TIME]
            keys = ["dsprites/" + "-".join(map(str, row)) for row in some.tolist()]
            chosen = np.array([wanted(key, _IDENTITY) for key in keys])
            drawn = iter(dsprites.render(some[chosen]))
            values = dsprites.latent_values(some).tolist()
            for key, row, latents, draw in zip(keys, some.tolist(), values, chosen, strict=True):
                yield Item(
                    key,
                    next(drawn) if draw else b"",
                    label=row[0],
                    latents=tuple(latents),
                    identity=_IDENTITY,
                )
