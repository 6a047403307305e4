"""What a dataset's report shows: thumbnails from shards and parts, and a sample of the table."""

from __future__ import annotations

import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from components.data import schema, storage
from components.data.example import FOOTER, HEADER
from components.data.index import index_batches
from components.data.manifest import Manifest
from components.data.report import (
    Cluster,
    ClusterMember,
    Reject,
    ReportContent,
    Sample,
    render_report,
    thumbnail,
)
from components.data.scan import open_part
from components.data.silence import quiet
from components.data.workplace import Workplace
from components.data.write import read_stored

_SHOWN_IMAGES = 960
_SHOWN_PER_CLASS = 24
_SHOWN_REJECTS = 200
_SAMPLED_ROWS = 100_000
_SHAPE_COLUMNS = [
    *("height", "width", "stored_bytes", "split", "label", "sums", "squares", "channels"),
]


def collect_content(
    workplace: Workplace,
    manifest: Manifest,
    rejects: Sequence[Mapping[str, str]],
    clusters: Sequence[dict[str, Any]],
) -> str:
    """The page, HTML, of a dataset whose files but the manifest are laid out in the workplace."""
    samples, table = _look(workplace, manifest)
    return render_report(
        ReportContent(
            manifest=manifest,
            samples=samples,
            rejects=[Reject(**each) for each in rejects[:_SHOWN_REJECTS]],
            clusters=[_cluster(workplace, cluster) for cluster in clusters],
            shape_table=table,
        )
    )


def _look(workplace: Workplace, manifest: Manifest) -> tuple[dict[str, list[Sample]], pa.Table]:
    """Thumbnails by class, and a uniform sample of the rows' shapes.

    Rows of a shard are in the order of a hash, so that its first ones are a random sample of it.
    """
    folder = workplace.folder("dataset")
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
    framed = storage.read_range(storage.join(folder, shard.file), start, stop)
    record = framed[HEADER.size : -FOOTER.size]
    shape = (values["height"], values["width"], values["channels"])
    return Sample(values["key"], _pixels(schema.image_of(record), shape, manifest.raw))


def _pixels(image: bytes, shape: tuple[int, int, int], raw: bool) -> np.ndarray:
    """A thumbnail of stored bytes."""
    if raw:
        return thumbnail(np.frombuffer(image, np.uint8).reshape(shape))
    with quiet(), Image.open(io.BytesIO(image)) as picture:
        pixels = np.asarray(picture.convert("L" if shape[-1] == 1 else "RGB"))
    return thumbnail(pixels.reshape(shape))


def _cluster(workplace: Workplace, cluster: dict[str, Any]) -> Cluster:
    members = []
    for member in cluster["members"]:
        part, place = member["place"]
        found = open_part(workplace, part).slice(place, 1)
        (row,) = found.to_pylist()
        shape = (row["height"], row["width"], row["channels"])
        pixels = _pixels(read_stored(found, part, workplace), shape, workplace.raw)
        members.append(ClusterMember(row["key"], row["split"], member["kept"], pixels))
    return Cluster(cluster["kind"], cluster["leaked"], tuple(members), size=cluster["size"])
