"""Publication of a prepared data set: from shards in the staging area to its finished folder."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twofold.components import files
from twofold.components.data.preparation.plan import Plan
from twofold.components.data.preparation.report_content import RenderPage, collect_content
from twofold.components.data.preparation.staging_area import (
    ShardRange,
    StagingArea,
    UselessWorkError,
    read_json,
    read_rejects,
    read_resolution,
)
from twofold.components.data.store.image_table import INDEX_SCHEMA
from twofold.components.data.store.manifest import (
    CODE_FILE,
    FORMAT_VERSION,
    IMAGES_FILE,
    MANIFEST_FILE,
    REJECTS_FILE,
    REPORT_FILE,
    Counts,
    DuplicateRecord,
    Manifest,
    Shard,
    SourceRecord,
    SplitRecord,
    describe_file,
)
from twofold.components.data.store.shard_summary import (
    ShardSummary,
    label_counts,
    merged,
    pixel_statistics,
)
from twofold.components.data.store.tfds_metadata import tfds_files


def publish(
    plan: Plan, staging: StagingArea, tasks: Sequence[str], render_page: RenderPage | None
) -> Manifest:
    """Make the dataset of what the stages left, and move it to its folder.

    On a disk it is there at once, in a bucket the manifest comes last.

    Raises:
        DataError: the source changed meanwhile.
        OSError: on a disk, something else came to be there.

    """
    manifest = _assemble(plan, staging, tasks, render_page)
    made, directory = staging.folder("dataset"), plan.directory
    listed = {MANIFEST_FILE, *(file.file for file in manifest.every_file)}
    # What an attempt that did not come to its end left is no part of the dataset.
    for name in set(files.names(made)) - listed:
        files.remove_tree(files.join(made, name))
    if not files.is_remote(directory):
        files.move_directory(Path(made), Path(directory))
        return manifest
    for name in [*sorted(listed - {MANIFEST_FILE}), MANIFEST_FILE]:
        files.link_or_copy(files.join(made, name), files.join(directory, name))
    return manifest


def _assemble(
    plan: Plan, staging: StagingArea, tasks: Sequence[str], render_page: RenderPage | None
) -> Manifest:
    """Lay out the whole dataset in the staging area's folder of that name; its manifest is last."""
    info, resolution = plan.info, read_resolution(staging)
    if resolution["read"] != info.items:
        raise UselessWorkError(
            f"{plan.name}: the source listed {info.items} images and gave {resolution['read']}; it "
            f"changed while it was being prepared"
        )
    shard_ranges = sorted(
        (ShardRange(**each) for each in resolution["shard_ranges"]),
        key=lambda shard_range: shard_range.name,
    )
    written = [
        read_json(staging.path("shards", f"{shard_range.name}.json"))
        for shard_range in shard_ranges
    ]
    shards = _name_shards(staging, shard_ranges, [Shard(**each["shard"]) for each in written])
    by_split: dict[str, list[ShardSummary]] = defaultdict(list)
    for shard_range, content in zip(shard_ranges, written, strict=True):
        by_split[shard_range.split].append(ShardSummary.from_json(content))
    summaries = {split: merged(found) for split, found in by_split.items()}
    everything = merged(summaries.values())
    splits = {
        split: SplitRecord(
            images=summary.images,
            labels=label_counts(summary, info.class_names),
            unlabelled=summary.labels[-1],
            shards=tuple(shards[split]),
        )
        for split, summary in summaries.items()
    }
    _write_index(staging, shard_ranges)
    rejects = sorted(
        (reject for task in tasks for reject in read_rejects(task, staging, tasks)),
        key=lambda reject: reject["key"],
    )
    beside = []
    if rejects:
        _write(staging, REJECTS_FILE, "".join(f"{json.dumps(each)}\n" for each in rejects))
        beside.append(REJECTS_FILE)
    channels = everything.totals.channels
    metadata = tfds_files(
        name=plan.name,
        class_names=info.class_names,
        latent_names=info.latent_names,
        channels=channels,
        raw=staging.raw,
        weighted=staging.weighted,
        splits=splits,
        shape=_one_shape(everything) if staging.raw else None,
    )
    for file, text in metadata.items():
        _write(staging, file, text)
        beside.append(file)
    if plan.code is not None:
        _write(staging, CODE_FILE, json.dumps(plan.code, indent=2, sort_keys=True) + "\n")
        beside.append(CODE_FILE)
    found = resolution["duplicates"]
    removed = found["removed_within"] + found["removed_leaked"]
    folder = staging.folder("dataset")
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=plan.name,
        fingerprint=plan.fingerprint,
        source=SourceRecord(
            kind=info.kind,
            fingerprint=info.fingerprint,
            ignored=info.ignored,
            skipped=dict(info.skipped),
        ),
        settings=plan.record,
        class_names=info.class_names,
        latent_names=info.latent_names,
        channels=channels,
        raw=staging.raw,
        weighted=staging.weighted,
        image_sizes=everything.sizes,
        formats=everything.formats,
        splits=splits,
        statistics=pixel_statistics(summaries, channels),
        counts=Counts(
            read=resolution["read"],
            written=everything.images,
            rejected=len(rejects),
            duplicates=removed,
            reasons=resolution["reasons"],
            repairs=everything.repairs,
        ),
        duplicates=DuplicateRecord(**found),
        images=describe_file(folder, IMAGES_FILE),
        files=tuple(describe_file(folder, file) for file in beside),
    )
    if render_page is not None:
        content = collect_content(staging, manifest, rejects, resolution["clusters"])
        _write(staging, REPORT_FILE, render_page(content))
        beside.append(REPORT_FILE)
    manifest = manifest.model_copy(
        update={"files": tuple(describe_file(folder, file) for file in sorted(beside))}
    )
    manifest.write(folder)
    return manifest


def _name_shards(
    staging: StagingArea, shard_ranges: Sequence[ShardRange], shards: Sequence[Shard]
) -> dict[str, list[Shard]]:
    """Give the shards their final names; by split."""
    in_split = Counter(shard_range.split for shard_range in shard_ranges)
    named: dict[str, list[Shard]] = defaultdict(list)
    for (number, shard_range), shard in zip(_numbered(shard_ranges), shards, strict=True):
        split = shard_range.split
        file = f"{split}-{number:05d}-of-{in_split[split]:05d}.tfrecord"
        # Another name for the same file, so that a rerun after a kill finds it where it was.
        files.link_or_copy(
            staging.path("shards", f"{shard_range.name}.tfrecord"), staging.path("dataset", file)
        )
        named[split].append(shard.model_copy(update={"file": file}))
    return named


def _write_index(staging: StagingArea, shard_ranges: Sequence[ShardRange]) -> None:
    """One row group a shard, in the shards' order; rows name the shard by its number in its split.

    Statistics of columns and dictionaries are left out: the file is read whole or by row group, and
    hashes do not repeat.
    """
    with (
        files.new_file(staging.path("dataset", IMAGES_FILE)) as file,
        pq.ParquetWriter(file, INDEX_SCHEMA, compression="zstd", write_statistics=False) as writer,
    ):
        for position, shard_range in _numbered(shard_ranges):
            content = files.read_bytes(staging.path("shards", f"{shard_range.name}.arrow"))
            rows = pa.ipc.open_file(pa.py_buffer(content)).read_all()
            numbers = pa.array(np.full(len(rows), position, np.int32))
            column = INDEX_SCHEMA.get_field_index("shard")
            rows = rows.set_column(column, INDEX_SCHEMA.field("shard"), numbers)
            writer.write_table(rows, row_group_size=max(1, len(rows)))


def _numbered(shard_ranges: Sequence[ShardRange]) -> Iterator[tuple[int, ShardRange]]:
    """Each shard range with its number among those of its split."""
    seen: Counter[str] = Counter()
    for shard_range in shard_ranges:
        yield seen[shard_range.split], shard_range
        seen[shard_range.split] += 1


def _one_shape(everything: ShardSummary) -> list[int] | None:
    """H, W, C where all images have the same, else None."""
    totals, sizes = everything.totals, everything.sizes
    if len(sizes) > 1 or (totals.pixels[1] and totals.pixels[3]):
        return None
    return [*map(int, next(iter(sizes)).split("x")), totals.channels]


def _write(staging: StagingArea, file: str, text: str) -> None:
    files.write_text(staging.path("dataset", file), text)
