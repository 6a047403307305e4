"""Split of a prepared data set: arrays whose row i is the same image."""

from __future__ import annotations

import abc
import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Split:
    """One split; row i of each array is the same image.

    Attributes:
        images: uint8 [N, H, W, C]: in memory, memory-mapped, or an `ImageRows`,
            which reads like an array (`shape`, `dtype`, `len`, indexing by integers, slices and
            integer arrays, `take`) and holds no pixels.
        labels: int32 [N], -1 where there is none.
        keys: text [N].
        latents: float32 [N, L], L 0 where the dataset has none.
        class_names: the names that labels index.
        latent_names: the L names.
        name: the split's name.
        weights: float32 [N], how often to draw an image relative to others, above 0; None where the
            dataset has no weights.
    """

    images: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    latents: np.ndarray
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    name: str = ""
    weights: np.ndarray | None = None

    @cached_property
    def key_hashes(self) -> np.ndarray:
        """`hash_of_key` of every key, int64 [N]."""
        return np.array([hash_of_key(key) for key in self.keys.tolist()], np.int64)


class ImageRows(abc.ABC):
    """Images uint8 [N, H, W, C] that read like an array, and are copied when they are read.

    Args:
        count: N.
        image_shape: (H, W, C).

    """

    def __init__(self, count: int, image_shape: tuple[int, ...]) -> None:
        self.shape: tuple[int, ...] = (count, *image_shape)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: object) -> np.ndarray:
        """As of an array."""
        found = find_rows(rows, len(self))
        return self.take(found.ravel()).reshape(*found.shape, *self.shape[1:])

    @abc.abstractmethod
    def take(
        self, rows: np.ndarray, axis: int = 0, out: np.ndarray | None = None, mode: str = "clip"
    ) -> np.ndarray:
        """The images of rows, int64 [B] from 0 up, as numpy's `take` gives them along axis 0."""


def hash_of_key(key: str) -> int:
    """The first 63 bits of a key's sha256: what an image's own randomness folds in."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1


def find_rows(rows: object, count: int) -> np.ndarray:
    """The rows, int64, that an index names in an array of `count` rows; of one row a scalar array.

    Args:
        rows: an integer, a slice, or an array of integers or booleans; negative integers count from
            the end.
        count: how many rows there are.

    Raises:
        IndexError: there is no such row, or `rows` is no such index.

    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(count))
    found = np.asarray(rows)
    if found.dtype == bool and found.shape == (count,):
        return np.flatnonzero(found)
    if found.size == 0 and not isinstance(rows, tuple):
        return found.astype(np.int64)
    if isinstance(rows, tuple) or not np.issubdtype(found.dtype, np.integer):
        raise IndexError(f"rows are named by integers, slices or arrays of them, received {rows!r}")
    if found.min() < -count or found.max() >= count:
        raise IndexError(f"there are {count} rows, received the index {rows!r}")
    return np.where(found < 0, found + count, found).astype(np.int64)
