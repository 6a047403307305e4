"""Permuted split: which images are held out, as code with torch.randperm draws it."""

from __future__ import annotations

import functools

import numpy as np
from pydantic import Field

from twofold.components.settings import Section


class PermutedSplit(Section):
    """A split by a permutation of positions, of which the last are held out."""

    seed: int = Field(ge=0, lt=2**32, description="of the permutation: torch.manual_seed(seed)")
    test_share: float = Field(gt=0.0, lt=1.0, description="share of the images held out")

    def split_of(self, position: int, count: int) -> str:
        """Gives the split of an image by its position among `count`."""
        return "test" if _held_out(self.seed, self.test_share, count)[position] else "train"


@functools.lru_cache(maxsize=4)
def _held_out(seed: int, share: float, count: int) -> np.ndarray:
    marked = np.zeros(count, bool)
    marked[torch_randperm(count, seed)[count - round(share * count) :]] = True
    return marked


def torch_randperm(count: int, seed: int) -> np.ndarray:
    """The permutation that `torch.randperm(count)` gives after `torch.manual_seed(seed)`, int64.

    On a CPU, and for fewer than 2^32: Fisher-Yates from the front, each exchange by the remainder
    of a 32-bit number of a Mersenne twister.
    """
    numbers = np.frombuffer(np.random.RandomState(seed).bytes(4 * max(count - 1, 0)), "<u4")
    order = list(range(count))
    for first, number in enumerate(numbers.tolist()):
        other = first + number % (count - first)
        order[first], order[other] = order[other], order[first]
    return np.array(order, np.int64)
