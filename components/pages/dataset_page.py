"""Data set page: what was prepared, in one HTML file that opens anywhere, offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twofold.components.data.preparation.report_content import ReportContent, Sample
from twofold.components.data.store.manifest import HELD_OUT_SPLITS, Manifest, SplitRecord
from twofold.components.evaluation.metrics import byte_text
from twofold.components.name_lists import list_names
from twofold.components.pages.charts import Chart, histogram, profile, sizes_chart
from twofold.components.pages.page_template import page_environment, plain, short

# What a page shows at most, so that it stays a few megabytes large whatever the dataset is.
_THUMBNAILS = 720
_SHEETS = 180
_OPEN_SHEETS = 24
_SAMPLES = 24
_CLUSTERS = 36
_MEMBERS = 6
_REJECTS = 100
_BALANCE_ROWS = 40
_ALL_CLASSES = 2000
_SIZES = 12
_LISTED = 8
_BUBBLES = 400
_FILES = 2000

# Below this many images of a class in `train`, and above this ratio between classes, it is said.
_FEW_IMAGES = 10
_LARGE_RATIO = 10

_KNOWN_SPLITS = ("train", "validation", "test", "unlabelled")


def samples_shown(classes: int) -> tuple[int, int]:
    """Of how many classes a report of so many shows samples, and how many of each."""
    shown = min(classes, _SHEETS)
    return shown, min(_SAMPLES, _THUMBNAILS // max(shown, 1))


def render_report(content: ReportContent) -> str:
    """The page, as HTML; equal content gives equal text."""
    manifest = content.manifest
    splits = {name: manifest.splits[name] for name in _split_order(manifest.splits)}
    values: dict[str, Any] = {
        "manifest": manifest,
        "splits": splits,
        "colours": {name: _colour(name, position) for position, name in enumerate(splits)},
        "images": sum(split.images for split in splits.values()),
        "stored": sum(shard.bytes for split in splits.values() for shard in split.shards),
        "shards": sum(len(split.shards) for split in splits.values()),
        "statistics": _channel_rows(manifest),
        "notes": list(_notes(manifest)),
        "balance": _balance(manifest, splits),
        "sheets": _sheets(manifest, content.samples),
        "settings": sorted(_flat(manifest.settings)),
        "rejects": content.rejects[:_REJECTS],
        "clusters": sorted(content.clusters, key=lambda cluster: not cluster.leaked)[:_CLUSTERS],
        "clusters_left": max(0, len(content.clusters) - _CLUSTERS),
        "members": _MEMBERS,
        "files": sorted(manifest.every_file, key=lambda file: file.file)[:_FILES],
        "files_left": max(0, len(manifest.every_file) - _FILES),
        **_shapes(content, splits),
    }
    return page_environment().get_template("dataset.html").render(values)


def _split_order(splits: Mapping[str, SplitRecord]) -> list[str]:
    known = [name for name in _KNOWN_SPLITS if name in splits]
    return [*known, *sorted(set(splits) - set(known))]


def _colour(split: str, position: int) -> int:
    """The number of a split's colour; the usual splits have the same one in every report."""
    known = len(_KNOWN_SPLITS)
    return _KNOWN_SPLITS.index(split) if split in _KNOWN_SPLITS else known + position % 2


def _notes(manifest: Manifest) -> Iterator[str]:
    """What a reader should know before using the dataset, a sentence each."""
    counts, alike = manifest.counts, manifest.duplicates
    train = manifest.splits.get("train")
    if train is not None and manifest.class_names:
        images = [(train.labels.get(name, 0), name) for name in manifest.class_names]
        few = [f"{short(name)} ({number})" for number, name in images if number < _FEW_IMAGES]
        if few:
            yield (
                f"{_count(len(few), 'class', 'classes')} with fewer than {_FEW_IMAGES} training "
                f"images: {list_names(few, _LISTED)}. Measures of so few images say little."
            )
    for name in _split_order(manifest.splits):
        labels = manifest.splits[name].labels
        present = {label: number for label, number in labels.items() if number}
        if not present:
            continue
        missing = [label for label in manifest.class_names if label not in present]
        if missing and name != "train":
            yield (
                f"{name} has no image of {_count(len(missing), 'class', 'classes')}: "
                f"{list_names([short(label) for label in missing], _LISTED)}."
            )
        largest, smallest = (
            choose(sorted(present), key=present.__getitem__) for choose in (max, min)
        )
        ratio = present[largest] / present[smallest]
        if ratio > _LARGE_RATIO:
            yield (
                f"{name} is unbalanced: {short(largest)} ({present[largest]:,} images) has "
                f"{ratio:,.0f} times the images of {short(smallest)} ({present[smallest]:,}). "
                "Accuracy over all images hides how small classes fare."
            )
    if not set(HELD_OUT_SPLITS) & set(manifest.splits):
        yield f"No split is held out: there is none of {' and '.join(HELD_OUT_SPLITS)}."
    elif alike.leaked is None:
        yield "Duplicates were not searched for: held-out images may resemble training images."
    elif alike.leaked > alike.removed_leaked:
        left = alike.leaked - alike.removed_leaked
        yield (
            f"{_count(left, 'training image resembles a', 'training images resemble')} held-out "
            f"{'image' if left == 1 else 'images'}, which makes measures on held-out images look "
            "better than they are; on_leakage=remove leaves such images out."
        )
    if counts.rejected:
        rejected = _count(counts.rejected, "image was", "images were")
        yield f"{rejected} rejected; the reasons are below."
    if alike.conflicting_labels:
        yield (
            f"{_count(alike.conflicting_labels, 'image has', 'images have')} the very pixels of "
            "one with another label, so at least one of the labels is wrong."
        )
    if not manifest.class_names:
        yield "There are no labels: it is for pretraining alone."


def _balance(manifest: Manifest, splits: Mapping[str, SplitRecord]) -> dict[str, Any] | None:
    """The classes with their images in each split that has labels, and what to make of them."""
    labelled = {name: split for name, split in splits.items() if any(split.labels.values())}
    if not labelled:
        return None
    rows = [
        (label, [split.labels.get(label, 0) for split in labelled.values()])
        for label in manifest.class_names
    ]
    summaries = []
    for position, (name, split) in enumerate(labelled.items()):
        counts = [row[position] for _, row in rows]
        largest, smallest = max(counts), min(counts)
        summaries.append(
            {
                "name": name,
                "largest": largest,
                "smallest": smallest,
                "ratio": _ratio(largest / smallest) if smallest else "",
                "unlabelled": split.unlabelled,
                "profile": profile(counts),
            }
        )
    by_size = sorted(rows, key=lambda row: (-sum(row[1]), row[0]))
    many = len(rows) > _BALANCE_ROWS
    half = _BALANCE_ROWS // 2
    return {
        "splits": summaries,
        "rows": by_size[:half] if many else rows,
        "smallest": by_size[-half:] if many else [],
        "all": rows[:_ALL_CLASSES] if many else [],
        "left": max(0, len(rows) - _ALL_CLASSES),
        "most": [max(1, *(row[position] for _, row in rows)) for position in range(len(labelled))],
    }


def _sheets(manifest: Manifest, samples: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    """The classes' samples, those without a label first, then in the order of the classes."""
    order = [name for name in ("", *manifest.class_names) if samples.get(name)]
    shown, each = samples_shown(len(order))
    sheets = []
    for name in order[:shown]:
        counts = (s.labels.get(name, 0) if name else s.unlabelled for s in manifest.splits.values())
        sheets.append({"name": name, "images": sum(counts), "samples": samples[name][:each]})
    return {
        "shown": sheets[:_OPEN_SHEETS],
        "more": sheets[_OPEN_SHEETS:],
        "left": len(order) - shown,
    }


def _channel_rows(manifest: Manifest) -> list[tuple[str, float, float]]:
    names = ("grey",) if manifest.channels == 1 else ("red", "green", "blue")
    return list(zip(names, manifest.statistics.mean, manifest.statistics.std, strict=True))


def _shapes(content: ReportContent, splits: Mapping[str, SplitRecord]) -> dict[str, Any]:
    """Sizes of the images, and how their shapes, bytes and values spread."""
    sizes = sorted(content.manifest.image_sizes.items(), key=lambda item: (-item[1], item[0]))
    parsed = [(*map(int, size.split("x")), images) for size, images in sizes[:_BUBBLES]]
    table = content.shape_table
    height, width, channels, stored = (
        table[name].to_numpy().astype(np.float64)
        for name in ("height", "width", "channels", "stored_bytes")
    )
    mean, deviation = _brightness(table, height * width * channels)
    names = np.array(table["split"].to_pylist(), object)
    colours = {name: _colour(name, position) for position, name in enumerate(splits)}

    def chart(title: str, label: str, values: np.ndarray, **options: Any) -> Chart | None:
        by_split = {name: values[names == name] for name in splits}
        return histogram(title, label, by_split, colours=colours, **options)

    charts = [
        sizes_chart([(size[0], size[1], size[2]) for size in parsed]),
        chart(
            "Aspect ratios",
            "width / height, logarithmic",
            width / height,
            form=plain,
            logarithmic=True,
        ),
        chart(
            "Sizes of the stored images",
            "bytes, logarithmic",
            stored,
            form=byte_text,
            logarithmic=True,
        ),
        chart("Brightness", "mean of an image's values", mean, form=plain),
        chart("Contrast", "deviation of an image's values", deviation, form=plain),
    ]
    return {
        "sizes": sizes[:_SIZES],
        "sizes_left": (max(0, len(sizes) - _SIZES), sum(images for _, images in sizes[_SIZES:])),
        "shape_charts": [found for found in charts if found is not None],
        "charted": len(table),
        "grey": float(np.mean(channels == 1)) if len(table) else 0.0,
    }


def _brightness(table: pa.Table, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each image's values over its channels, in [0, 1], float64 [N]."""
    totals = []
    for name in ("sums", "squares"):
        column = table[name].combine_chunks()
        parents = pc.list_parent_indices(column).to_numpy()
        added = pc.list_flatten(column).to_numpy().astype(np.float64)
        totals.append(np.bincount(parents, added, minlength=len(table)))
    mean = totals[0] / values
    variance = np.maximum(totals[1] / values - mean**2, 0)
    return mean / 255, np.sqrt(variance) / 255


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _setting(value)


def _setting(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_setting, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
