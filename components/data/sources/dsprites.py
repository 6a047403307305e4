"""dSprites, drawn when they are read: the source that needs no file."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Sequence

import numpy as np

from components.data import dsprites
from components.data.errors import DataError
from components.data.sources.base import CHUNK_ITEMS, Chunk, Item, SourceInfo, chunk_range

# Raised whenever the same settings draw other pixels, so that prepared data is not reused.
DRAWING_VERSION = 1

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
        )

    def chunks(self) -> list[Chunk]:
        """Consecutive chunks of the subset."""
        return chunk_range(0, self._images)

    def read(self, chunk: Chunk) -> Iterator[Item]:
        """The sprites of a chunk."""
        return self.pick(range(chunk.start, chunk.stop))

    def pick(self, positions: Sequence[int]) -> Iterator[Item]:
        """The sprites at these positions of the subset, drawn a chunk at a time."""
        classes = _subset(self._images, self._seed)[np.asarray(positions, int)]
        for start in range(0, len(classes), CHUNK_ITEMS):
            drawn = classes[start : start + CHUNK_ITEMS]
            images, values = dsprites.render(drawn), dsprites.latent_values(drawn).tolist()
            for row, latents, image in zip(drawn.tolist(), values, images, strict=True):
                key = "dsprites/" + "-".join(map(str, row))
                yield Item(key, image, label=row[0], latents=tuple(latents))
