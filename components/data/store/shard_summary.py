"""Shard summary: what the rows of a shard in the image table add up to, and what these sums say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from twofold.components.data.store.manifest import HELD_OUT_SPLITS, PixelStatistics
from twofold.components.data.store.pixel_statistics import PixelTotals


@dataclass(frozen=True)
class ShardSummary:
    """Counts of a shard's images, or of several shards'.

    Attributes:
        labels: images by label, -1 for none.
        sizes: images by "HxW".
        formats: images by the format that they came in.
        repairs: images that were stored otherwise than they came, by repair.
        totals: of their pixels.

    """

    labels: Counter[int] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    totals: PixelTotals = field(default_factory=PixelTotals)

    @property
    def images(self) -> int:
        """How many images were counted."""
        return self.labels.total()

    def to_json(self) -> dict[str, Any]:
        """The summary in a form that JSON holds; `from_json` takes it back."""
        return {
            "labels": self.labels,
            "sizes": self.sizes,
            "formats": self.formats,
            "repairs": self.repairs,
            "totals": self.totals.to_json(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ShardSummary:
        """The summary that `to_json` gave."""
        return cls(
            labels=Counter({int(label): images for label, images in content["labels"].items()}),
            sizes=Counter(content["sizes"]),
            formats=Counter(content["formats"]),
            repairs=Counter(content["repairs"]),
            totals=PixelTotals.from_json(content["totals"]),
        )


def summarise(rows: pa.Table) -> ShardSummary:
    """What a shard's rows of the image table add up to."""
    shapes = zip(rows["height"].to_pylist(), rows["width"].to_pylist(), strict=True)
    return ShardSummary(
        labels=Counter(rows["label"].to_pylist()),
        sizes=Counter(f"{height}x{width}" for height, width in shapes),
        formats=Counter(rows["format"].to_pylist()),
        repairs=Counter(filter(None, rows["repair"].to_pylist())),
        totals=_totals(rows),
    )


def merged(summaries: Iterable[ShardSummary]) -> ShardSummary:
    """One summary of all."""
    every = ShardSummary()
    for summary in summaries:
        every.labels.update(summary.labels)
        every.sizes.update(summary.sizes)
        every.formats.update(summary.formats)
        every.repairs.update(summary.repairs)
        every.totals.merge([summary.totals])
    return every


def label_counts(summary: ShardSummary, class_names: Sequence[str]) -> dict[str, int]:
    """Images by class."""
    return {name: summary.labels[label] for label, name in enumerate(class_names)}


def measured_splits(splits: Iterable[str]) -> list[str]:
    """The splits that statistics are taken of: those not held out, or all where there are none."""
    names = sorted(splits)
    return [name for name in names if name not in HELD_OUT_SPLITS] or names


def pixel_statistics(splits: Mapping[str, ShardSummary], channels: int) -> PixelStatistics:
    """Mean and deviation of the pixels of the splits that are not held out."""
    names = measured_splits(splits)
    mean, std = merged(splits[name] for name in names).totals.mean_and_deviation(channels)
    return PixelStatistics(splits=tuple(names), mean=tuple(mean), std=tuple(std))


def _totals(rows: pa.Table) -> PixelTotals:
    totals = PixelTotals()
    for channels in (1, 3):
        some = rows.filter(pc.equal(rows["channels"], channels))
        sides = zip(some["height"].to_pylist(), some["width"].to_pylist(), strict=True)
        # Python's integers hold the sum of any number of images.
        sums, squares = (
            [sum(values[channel::channels]) for channel in range(channels)]
            for values in (
                some[name].combine_chunks().flatten().to_pylist() for name in ("sums", "squares")
            )
        )
        totals.add(sum(height * width for height, width in sides), sums, squares)
    return totals
