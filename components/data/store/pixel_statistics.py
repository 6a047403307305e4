"""Pixel statistics, exact, that merge in any order.

Of each image the sum of its values and of their squares is kept, as whole numbers, so that the mean
and the deviation of any set of images follow without their pixels, and do not depend on who counted
what and when.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

# The squares of so many bytes add up to less than 2**32.
_PIECE = 1 << 16


def pixel_sums(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of values and of squares, uint64 [N, C] each, of images uint8 [N, H, W, C]."""
    count, height, width, channels = pixels.shape
    flat = pixels.reshape(count, height * width, channels)
    sums = np.zeros((count, channels), np.uint64)
    squares = np.zeros((count, channels), np.uint64)
    for start in range(0, height * width, _PIECE):
        # With the channels apart, numpy adds up contiguous memory, which is four times faster.
        piece = flat[:, start : start + _PIECE].transpose(0, 2, 1).astype(np.uint32, order="C")
        sums += piece.sum(axis=2, dtype=np.uint32)
        squares += np.einsum("ncp,ncp->nc", piece, piece)
    return sums, squares


@dataclass
class PixelTotals:
    """Sums over many images, those of greyscale and of colour images apart.

    Attributes:
        pixels: how many pixels were counted, by channels (1 or 3).
        sums: of the values, by channels, one for each.
        squares: of the squared values, likewise.

    """

    pixels: dict[int, int] = field(default_factory=lambda: {1: 0, 3: 0})
    sums: dict[int, list[int]] = field(default_factory=lambda: {1: [0], 3: [0, 0, 0]})
    squares: dict[int, list[int]] = field(default_factory=lambda: {1: [0], 3: [0, 0, 0]})

    def add(self, pixels: int, sums: Sequence[int], squares: Sequence[int]) -> None:
        """Count one image, or several of as many channels."""
        channels = len(sums)
        self.pixels[channels] += pixels
        for totals, values in ((self.sums, sums), (self.squares, squares)):
            # Python's integers are exact at any size.
            totals[channels] = [a + int(b) for a, b in zip(totals[channels], values, strict=True)]

    def merge(self, others: Iterable[PixelTotals]) -> PixelTotals:
        """Count what others counted, too; gives itself."""
        for other in others:
            for channels, pixels in other.pixels.items():
                self.add(pixels, other.sums[channels], other.squares[channels])
        return self

    @property
    def channels(self) -> int:
        """1 where every image is greyscale, else 3."""
        return 3 if self.pixels[3] else 1

    def mean_and_deviation(self, channels: int) -> tuple[list[float], list[float]]:
        """Mean and population standard deviation of values in [0, 1], one number per channel.

        With 3 channels, a greyscale image counts in each of them.
        """
        means, deviations = [], []
        for channel in range(channels):
            count, total, squares = self.pixels[1], self.sums[1][0], self.squares[1][0]
            if channels == 3:
                count += self.pixels[3]
                total += self.sums[3][channel]
                squares += self.squares[3][channel]
            means.append(total / (255 * count))
            deviations.append(math.sqrt((count * squares - total**2) / (255 * count) ** 2))
        return means, deviations

    def to_json(self) -> dict[str, list[list[int]]]:
        """The totals in a form that JSON holds; `from_json` takes it back."""
        return {
            str(channels): [[self.pixels[channels]], self.sums[channels], self.squares[channels]]
            for channels in (1, 3)
        }

    @classmethod
    def from_json(cls, content: dict[str, list[list[int]]]) -> PixelTotals:
        """The totals that `to_json` gave."""
        totals = cls()
        for channels, ((pixels,), sums, squares) in content.items():
            if int(channels) != len(sums):
                raise ValueError(f"expected {channels} sums, received {len(sums)}")
            totals.add(pixels, sums, squares)
        return totals
