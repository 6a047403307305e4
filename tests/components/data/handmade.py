"""Datasets written by hand, without `prepare`: the contract on disk and nothing else."""

import hashlib
import io
import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from twofold.components import files
from twofold.components.data.rules.duplicates import pixel_digest
from twofold.components.data.store import record_schema
from twofold.components.data.store.image_table import INDEX_SCHEMA
from twofold.components.data.store.manifest import (
    FORMAT_VERSION,
    IMAGES_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    Counts,
    DuplicateRecord,
    Manifest,
    PixelStatistics,
    Shard,
    SourceRecord,
    SplitRecord,
    dataset_fingerprint,
    describe_file,
    parse_manifest,
)
from twofold.components.data.store.pixel_statistics import PixelTotals, pixel_sums
from twofold.components.data.store.tf_example import frame
from twofold.components.data.store.tfds_metadata import tfds_files

NO_DUPLICATES = DuplicateRecord(
    exact=None,
    near=None,
    leaked=None,
    conflicting_labels=None,
    removed_within=0,
    removed_leaked=0,
)


def picture(seed, height=6, width=5, channels=3):
    """Random pixels, uint8 [height, width, channels]."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def encode(pixels, file_format="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, file_format)
    return file.getvalue()


def order(key):
    return hashlib.sha256(f"order:{key}".encode()).digest()


def entry(key, split="train", label=-1, *, pixels=None, latents=(), weight=1.0):
    """An image to write; its pixels follow from its key unless they are given."""
    if pixels is None:
        pixels = picture(int.from_bytes(order(key)[:4]))
    return {
        "key": key,
        "split": split,
        "label": label,
        "pixels": pixels,
        "latents": latents,
        "weight": weight,
    }


def entries(count=24, classes=2):
    """Every fourth image is for testing, every sixth has no label; labels go round."""
    return [
        entry(
            f"folder/{n:03d}", "test" if n % 4 == 0 else "train", -1 if n % 6 == 5 else n % classes
        )
        for n in range(count)
    ]


def write_dataset(
    directory,
    images,
    *,
    shards=2,
    class_names=("cat", "dog"),
    latent_names=(),
    raw=False,
    weighted=False,
    rejects=(),
    name="by-hand",
):
    """Write a dataset of `entry` images; its manifest."""
    files.make_directory(directory)
    splits, tables = {}, []
    totals = {}
    for split in sorted({image["split"] for image in images}):
        chosen = sorted((i for i in images if i["split"] == split), key=lambda i: order(i["key"]))
        totals[split] = PixelTotals()
        written = []
        for number, part in enumerate(np.array_split(np.arange(len(chosen)), shards)):
            rows = [chosen[place] for place in part]
            file = f"{split}-{number:05d}-of-{shards:05d}.tfrecord"
            tables.append(_write_shard(directory, file, number, rows, raw, weighted, totals[split]))
            record = describe_file(directory, file)
            written.append(Shard(**record.model_dump(), images=len(rows), content="0" * 64))
        labels = Counter(image["label"] for image in chosen)
        splits[split] = SplitRecord(
            images=len(chosen),
            labels={class_name: labels[n] for n, class_name in enumerate(class_names)},
            unlabelled=labels[-1],
            shards=tuple(written),
        )
    with (
        files.new_file(files.join(directory, IMAGES_FILE)) as index,
        pq.ParquetWriter(index, INDEX_SCHEMA) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=max(1, len(table)))
    channels = max(image["pixels"].shape[-1] for image in images)
    shapes = {image["pixels"].shape for image in images}
    texts = tfds_files(
        name=name,
        class_names=class_names,
        latent_names=latent_names,
        channels=channels,
        raw=raw,
        weighted=weighted,
        splits=splits,
        shape=shapes.pop() if len(shapes) == 1 else None,
    )
    if rejects:
        texts[REJECTS_FILE] = "".join(f"{json.dumps(each)}\n" for each in rejects)
    for file, text in texts.items():
        files.write_bytes(files.join(directory, file), text.encode())
    counted = sorted(set(totals) - {"test", "validation"}) or sorted(totals)
    mean, std = PixelTotals().merge(totals[s] for s in counted).mean_and_deviation(channels)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        fingerprint=dataset_fingerprint("folder", "5" * 64, {"split_seed": 0}),
        source=SourceRecord(kind="folder", fingerprint="5" * 64, ignored=0),
        settings={"split_seed": 0},
        class_names=tuple(class_names),
        latent_names=tuple(latent_names),
        channels=channels,
        raw=raw,
        weighted=weighted,
        image_sizes=dict(Counter("{}x{}".format(*i["pixels"].shape) for i in images)),
        formats={"PNG": len(images)},
        splits=splits,
        statistics=PixelStatistics(splits=tuple(counted), mean=tuple(mean), std=tuple(std)),
        counts=Counts(
            read=len(images) + len(rejects),
            written=len(images),
            rejected=len(rejects),
            duplicates=0,
            reasons=dict(Counter(each["reason"] for each in rejects)),
            repairs={},
        ),
        duplicates=NO_DUPLICATES,
        images=describe_file(directory, IMAGES_FILE),
        files=tuple(describe_file(directory, file) for file in sorted(texts)),
    )
    manifest.write(directory)
    return manifest


def _write_shard(directory, file, number, images, raw, weighted, totals):
    rows, content = [], b""
    for image in images:
        pixels = image["pixels"]
        stored = pixels.tobytes() if raw else encode(pixels)
        framed = frame(
            record_schema.serialize(
                image["key"],
                stored,
                image["label"],
                image["latents"],
                shape=pixels.shape if raw else None,
                weight=image["weight"] if weighted else None,
            )
        )
        sums, squares = (values[0].tolist() for values in pixel_sums(pixels[None]))
        totals.add(pixels.shape[0] * pixels.shape[1], sums, squares)
        digest = hashlib.sha256(stored).digest()
        rows.append(
            {
                **{name: image[name] for name in ("key", "split", "label", "weight")},
                "latents": list(image["latents"]),
                "group": None,
                "shard": number,
                "offset": len(content),
                "length": len(framed),
                "identity": digest.hex(),
                "source_sha256": digest,
                "stored_sha256": digest,
                "pixel_digest": pixel_digest(pixels),
                "perceptual_hash": 0,
                "detail_hash": 0,
                "format": "PNG",
                "mode": "RGB" if pixels.shape[-1] == 3 else "L",
                "repair": "",
                "height": pixels.shape[0],
                "width": pixels.shape[1],
                "channels": pixels.shape[2],
                "stored_bytes": len(stored),
                "sums": sums,
                "squares": squares,
            }
        )
        content += framed
    files.write_bytes(files.join(directory, file), content)
    return pa.Table.from_pylist(rows, INDEX_SCHEMA)


def edit_manifest(directory, change):
    """Change the manifest's content and give it a checksum that fits."""
    manifest = parse_manifest(directory / MANIFEST_FILE)
    content = manifest.model_dump(mode="json")
    change(content)
    type(manifest).model_validate(content).write(directory)


def accept(directory, file):
    """Let the manifest say of a file what is true of it now."""
    described = describe_file(directory, file).model_dump(mode="json")

    def change(content):
        shards = [shard for split in content["splits"].values() for shard in split["shards"]]
        for record in [*shards, content["images"], *content["files"]]:
            if record["file"] == file:
                record.update(described)

    edit_manifest(directory, change)


def edit_index(directory, column, change):
    """Change one column of the first row group of the table, and nothing else."""
    opened = pq.ParquetFile(directory / IMAGES_FILE)
    tables = [opened.read_row_group(group) for group in range(opened.num_row_groups)]
    values = change(tables[0][column].to_pylist())
    field = INDEX_SCHEMA.field(column)
    place = INDEX_SCHEMA.get_field_index(column)
    tables[0] = tables[0].set_column(place, field, pa.array(values, field.type))
    with pq.ParquetWriter(directory / IMAGES_FILE, INDEX_SCHEMA) as writer:
        for table in tables:
            writer.write_table(table)
