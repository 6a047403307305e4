"""What every source of images gives, whatever it reads them from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

CHUNK_ITEMS = 256


@dataclass(frozen=True)
class Item:
    """One image and what is known about it.

    Attributes:
        key: stable and unique in its source; everything random about the image hashes from it.
        image: the bytes of an image file, or uint8 [H, W, C] pixels with C 1 or 3.
        label: an index into the source's class names, -1 where there is none.
        latents: the generative factors' values, in the order of the source's latent names.
        split: the split that the source puts the image in, None where it has no opinion.
        problem: why the bytes could not be read (`image` is then empty), None where they could.

    """

    key: str
    image: bytes | np.ndarray
    label: int = -1
    latents: tuple[float, ...] = ()
    split: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class SourceInfo:
    """What a source says about itself before any image is read.

    Attributes:
        kind: its name in `SOURCES`.
        class_names: the names that labels index; empty without labels.
        latent_names: the names of each item's latents; empty without latents.
        fingerprint: sha256 (hex) of what the content is, whatever folder it lies in.
        split_counts: (split, items) for the items that carry a split of their own.
        ignored: entries beside the images that were passed over (other file types, hidden files).

    """

    kind: str
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    fingerprint: str
    split_counts: tuple[tuple[str, int], ...] = ()
    ignored: int = 0


@dataclass(frozen=True)
class Chunk:
    """The items from position `start` up to, not including, `stop` in their source's order."""

    start: int
    stop: int


class Source(Protocol):
    """Items in a fixed order, read again by position as often as needed.

    A source is pickled into every worker, so it holds settings and not data: what is heavy (a
    listing, arrays, open files) is made in the process that needs it.
    """

    def info(self) -> SourceInfo:
        """Names, splits and the fingerprint of the content."""

    def chunks(self) -> list[Chunk]:
        """Consecutive chunks that cover every item once."""

    def read(self, chunk: Chunk) -> Iterator[Item]:
        """The items of a chunk, in order."""

    def pick(self, positions: Sequence[int]) -> Iterator[Item]:
        """The items at these positions, in the order given; ascending order is the cheapest."""


def chunk_range(start: int, stop: int, size: int = CHUNK_ITEMS) -> list[Chunk]:
    """Consecutive chunks of at most `size` items that cover `start` up to `stop`."""
    return [Chunk(first, min(first + size, stop)) for first in range(start, stop, size)]
