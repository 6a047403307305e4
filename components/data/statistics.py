"""Exact statistics of pixels and sizes that merge in any order.

Values are counted in 256-bin histograms of whole numbers, so that the mean and the deviation do not
depend on who counted what and when.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

_BINS = 256
# Counting widens bytes to 64-bit integers, so large images are counted a piece at a time.
_PIECE = 1 << 18


@dataclass
class Statistics:
    """Counts over images added so far.

    Attributes:
        grey: how often each value occurs in greyscale images, int64 [1, 256].
        colour: the same in colour images by channel, int64 [3, 256].
        sizes: images by "HxW".

    """

    grey: np.ndarray = field(default_factory=lambda: np.zeros((1, _BINS), np.int64))
    colour: np.ndarray = field(default_factory=lambda: np.zeros((3, _BINS), np.int64))
    sizes: Counter[str] = field(default_factory=Counter)

    def add(self, pixels: np.ndarray) -> None:
        """Count one image, uint8 [H, W, C] with C 1 or 3."""
        height, width, channels = pixels.shape
        self.sizes[f"{height}x{width}"] += 1
        counts = self.grey if channels == 1 else self.colour
        values = pixels.reshape(-1, channels)
        offsets = np.arange(channels) * _BINS
        for start in range(0, len(values), _PIECE):
            piece = (values[start : start + _PIECE] + offsets).ravel()
            counts += np.bincount(piece, minlength=channels * _BINS).reshape(channels, _BINS)

    def merge(self, other: Statistics) -> None:
        """Count all that another counted."""
        self.grey += other.grey
        self.colour += other.colour
        self.sizes += other.sizes

    @property
    def channels(self) -> int:
        """1 where every image is greyscale, else 3."""
        return 3 if self.colour.any() else 1

    def mean_and_deviation(self, channels: int) -> tuple[list[float], list[float]]:
        """Mean and population standard deviation of values in [0, 1], a figure a channel.

        With 3 channels, a greyscale image counts in each of them.
        """
        histograms = self.grey + self.colour if channels == 3 else self.grey
        means, deviations = [], []
        for histogram in histograms.tolist():
            # Python's integers are exact at any size; the only rounding is in the last division.
            count = sum(histogram)
            total = sum(value * times for value, times in enumerate(histogram))
            squares = sum(value * value * times for value, times in enumerate(histogram))
            means.append(total / (255 * count))
            deviations.append(math.sqrt((count * squares - total**2) / (255 * count) ** 2))
        return means, deviations

    def to_json(self) -> str:
        """The counts as text."""
        counts = {"grey": self.grey.tolist(), "colour": self.colour.tolist(), "sizes": self.sizes}
        return json.dumps(counts, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Statistics:
        """The counts that `to_json` wrote."""
        counts = json.loads(text)
        grey, colour = (np.array(counts[name], np.int64) for name in ("grey", "colour"))
        return cls(grey, colour, Counter(counts["sizes"]))
