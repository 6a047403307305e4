"""What every source of images gives, whatever it reads them from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

# Of a key and an identity, whether the image is to be read.
Wanted = Callable[[str, str], bool]


@dataclass(frozen=True)
class Item:
    """One image and what is known about it.

    Attributes:
        key: stable and unique in its source; everything random about the image hashes from it.
        image: the bytes of an image file, or uint8 [H, W, C] pixels with C 1 or 3; b"" where it was
            not wanted or could not be read.
        label: an index into the source's class names, -1 where there is none.
        latents: the generative factors' values, in the order of the source's latent names.
        split: the split that the source puts the image in, None where it has no opinion.
        group: what the image belongs to (a patient, a video, a product), None where that is not
            known; images of one group belong in one split.
        weight: how often to draw the image, relative to others; above 0.
        identity: text that changes when the image's content does, under the same key; it costs no
            reading of the image.
        problem: why the bytes could not be read (`image` is then empty), None where they could.

    """

    key: str
    image: bytes | np.ndarray
    label: int = -1
    latents: tuple[float, ...] = ()
    split: str | None = None
    group: str | None = None
    weight: float = 1.0
    identity: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class SourceInfo:
    """What a source says about itself before any image is read.

    Attributes:
        kind: its name in `SOURCES`.
        class_names: the names that labels index; empty without labels.
        latent_names: the names of each item's latents; empty without latents.
        fingerprint: sha256 (hex) of what the content is, whatever folder it lies in.
        items: how many images it will give.
        ignored: entries beside the images that were passed over (other file types, hidden files).
        weighted: whether its items have weights of their own.

    """

    kind: str
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    fingerprint: str
    items: int
    ignored: int = 0
    weighted: bool = False


def all_wanted(key: str, identity: str) -> bool:
    """Wants every image."""
    return True


class Source(Protocol):
    """Items in a fixed order, handed out as tasks that any process can read on its own.

    A source is pickled into every worker, so it holds settings and not data: a listing is streamed
    into the tasks, and what is heavy otherwise (arrays, open files) is made in the process that
    needs it. No call holds more than a task's items in memory.
    """

    def info(self) -> SourceInfo:
        """Names, count and the fingerprint of the content."""

    def tasks(self, items: int) -> Iterator[bytes]:
        """Consecutive tasks of at most `items` items each, that together cover every item once.

        A task describes its items (positions, or keys with places in files), and holds no image.
        """

    def read(self, task: bytes, wanted: Wanted = all_wanted) -> Iterator[Item]:
        """The items of a task, in order; those not wanted come without their image, unread."""


def positions(start: int, stop: int, items: int) -> Iterator[bytes]:
    """Tasks that name positions from `start` up to, not including, `stop`; see `position_range`."""
    for first in range(start, stop, items):
        yield f"{first} {min(first + items, stop)}".encode()


def position_range(task: bytes) -> range:
    """The positions that a task of `positions` names."""
    start, stop = map(int, task.split())
    return range(start, stop)
