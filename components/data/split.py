"""A prepared split as arrays whose row i is the same image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Split:
    """One split in memory, or its images memory-mapped; row i of each array is the same image.

    Attributes:
        images: uint8 [N, H, W, C].
        labels: int32 [N], -1 where there is none.
        keys: unicode strings [N].
        latents: float32 [N, L], L 0 where the dataset has none.
        class_names: the names that labels index.
        latent_names: the L names.
        name: the split's name.
    """

    images: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    latents: np.ndarray
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    name: str = ""

    @cached_property
    def identities(self) -> np.ndarray:
        """`key_identity` of every key, int64 [N]."""
        return np.array([key_identity(key) for key in self.keys.tolist()], np.int64)


def key_identity(key: str) -> int:
    """The first 63 bits of a key's sha256: what an image's own randomness folds in."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1
