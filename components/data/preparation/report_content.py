"""Content of a data set's report: thumbnails from shards and parts, a sample of the table."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from twofold.components import files
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.preparation.staging_area import StagingArea, open_part
from twofold.components.data.preparation.write_shards import read_stored
from twofold.components.data.store import record_schema
from twofold.components.data.store.image_table import index_batches
from twofold.components.data.store.manifest import Manifest
from twofold.components.data.store.tf_example import FOOTER, HEADER

_SHOWN_IMAGES = 960
_SHOWN_PER_CLASS = 24
_SHOWN_REJECTS = 200
_SAMPLED_ROWS = 100_000
_SHAPE_COLUMNS = [
    *("height", "width", "stored_bytes", "split", "label", "sums", "squares", "channels"),
]


@dataclass(frozen=True)
class Sample:
    """An image to show: its key, and its pixels made small, uint8 [h, w, 1 or 3]."""

    key: str
    pixels: np.ndarray


@dataclass(frozen=True)
class ClusterMember:
    """One of several images that are alike; `kept` tells whether the dataset has it."""

    key: str
    split: str
    kept: bool
    pixels: np.ndarray


@dataclass(frozen=True)
class Cluster:
    """Images that are alike.

    Attributes:
        kind: `exact` for equal pixels, `near` for images that look alike.
        leaked: whether some are held out and some are not.
        members: the images, or some of them.
        size: how many there are in all; 0 where the members are all.

    """

    kind: str
    leaked: bool
    members: tuple[ClusterMember, ...]
    size: int = 0


@dataclass(frozen=True)
class Reject:
    """An image that was not taken: its reason, and the sha256 (hex) of its bytes if it had any."""

    key: str
    reason: str
    detail: str
    source_sha256: str = ""


@dataclass(frozen=True)
class ReportContent:
    """What a report is made of.

    Attributes:
        manifest: the dataset's; its files need not be complete.
        samples: class name (empty for images without a label) -> images of it.
        rejects: of all that were rejected, as many as there are at hand.
        clusters: likewise of images that are alike.
        shape_table: of all images, or of a uniform sample of them, the columns height, width,
            channels, stored_bytes, split, label, sums and squares of the index.

    """

    manifest: Manifest
    samples: Mapping[str, Sequence[Sample]]
    rejects: Sequence[Reject]
    clusters: Sequence[Cluster]
    shape_table: pa.Table


# From what a page shows to the page, HTML; equal content gives equal text.
RenderPage = Callable[[ReportContent], str]


def thumbnail(pixels: np.ndarray, side: int = 96) -> np.ndarray:
    """An image made small: uint8 [h, w, C] with neither side longer than `side`, never enlarged."""
    height, width, channels = pixels.shape
    longest = max(height, width)
    if longest <= side:
        return pixels
    size = [max(1, round(length * side / longest)) for length in (width, height)]
    picture = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    small = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small).reshape(size[1], size[0], channels)


def collect_content(
    staging: StagingArea,
    manifest: Manifest,
    rejects: Sequence[Mapping[str, str]],
    clusters: Sequence[dict[str, Any]],
) -> ReportContent:
    """What the page shows of a dataset whose files but the manifest are laid out for it."""
    samples, table = _look(staging, manifest)
    return ReportContent(
        manifest=manifest,
        samples=samples,
        rejects=[Reject(**each) for each in rejects[:_SHOWN_REJECTS]],
        clusters=[_cluster(staging, cluster) for cluster in clusters],
        shape_table=table,
    )


def _look(staging: StagingArea, manifest: Manifest) -> tuple[dict[str, list[Sample]], pa.Table]:
    """Thumbnails by class, and a uniform sample of the rows' shapes.

    Rows of a shard are in the order of a hash, so that its first ones are a random sample of it.
    """
    folder = staging.folder("dataset")
    groups = max(1, len(manifest.class_names))
    per_class = max(1, min(_SHOWN_PER_CLASS, _SHOWN_IMAGES // groups))
    share = min(1.0, _SAMPLED_ROWS / max(1, manifest.counts.written))
    samples: dict[str, list[Sample]] = defaultdict(list)
    shapes = []
    columns = [*_SHAPE_COLUMNS, "key", "shard", "offset", "length"]
    for batch in index_batches(folder, manifest, columns):
        shapes.append(batch.select(_SHAPE_COLUMNS).slice(0, math.ceil(share * len(batch))))
        labels = batch.column("label").to_numpy()
        for label in np.unique(labels).tolist():
            name = manifest.class_names[label] if label >= 0 else ""
            missing = per_class - len(samples[name])
            for row in np.flatnonzero(labels == label)[:missing].tolist():
                samples[name].append(_sample(folder, manifest, batch, row))
    ordered = {name: samples[name] for name in (*manifest.class_names, "") if name in samples}
    return ordered, pa.Table.from_batches(shapes)


def _sample(folder: str, manifest: Manifest, batch: pa.RecordBatch, row: int) -> Sample:
    values = {name: batch.column(name)[row].as_py() for name in batch.schema.names}
    shard = manifest.splits[values["split"]].shards[values["shard"]]
    start, stop = values["offset"], values["offset"] + values["length"]
    framed = files.read_range(files.join(folder, shard.file), start, stop)
    record = framed[HEADER.size : -FOOTER.size]
    shape = (values["height"], values["width"], values["channels"])
    return Sample(values["key"], _pixels(record_schema.image_of(record), shape, manifest.raw))


def _pixels(image: bytes, shape: tuple[int, int, int], raw: bool) -> np.ndarray:
    """A thumbnail of stored bytes."""
    if raw:
        return thumbnail(np.frombuffer(image, np.uint8).reshape(shape))
    with quiet(), Image.open(io.BytesIO(image)) as picture:
        pixels = np.asarray(picture.convert("L" if shape[-1] == 1 else "RGB"))
    return thumbnail(pixels.reshape(shape))


def _cluster(staging: StagingArea, cluster: dict[str, Any]) -> Cluster:
    members = []
    for member in cluster["members"]:
        part, row_number = member["location"]
        found = open_part(staging, part).slice(row_number, 1)
        (row,) = found.to_pylist()
        shape = (row["height"], row["width"], row["channels"])
        pixels = _pixels(read_stored(found, part, staging), shape, staging.raw)
        members.append(ClusterMember(row["key"], row["split"], member["kept"], pixels))
    return Cluster(cluster["kind"], cluster["leaked"], tuple(members), size=cluster["size"])
