"""Beam pipeline of a preparation.

The pipeline is linear, which every runner can do alike: names of tasks, scanned; one group of all
parts, resolved; a group for each shard, written. Of more images than one worker should compare,
duplicates are searched in between: groups of parts, spread by what could be equal; these groups,
collapsed and spread by the bands of their hashes; and these groups, compared. Of very many parts,
groups are merged before the shards are written, so that a shard reads its own rows and no others.
Only names travel through Beam, and of rows where they lie; what is named lies in the staging area.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence

import apache_beam as beam

from twofold.components.data.preparation.duplicate_search.collapse_equal import (
    collapse_bucket,
    cut_parts,
    spread_images,
)
from twofold.components.data.preparation.duplicate_search.compare_bands import compare_bucket
from twofold.components.data.preparation.duplicate_search.search_area import Place, SearchSizes
from twofold.components.data.preparation.engines.runners import new_pipeline
from twofold.components.data.preparation.engines.worker_faults import fault_of
from twofold.components.data.preparation.merge_parts import (
    Resolve,
    group_parts,
    list_shards,
    merge_run,
    resolve_into_runs,
)
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.preparation.resolve import resolve
from twofold.components.data.preparation.scan import scan
from twofold.components.data.preparation.staging_area import ShardRange, StagingArea
from twofold.components.data.preparation.write_shards import write_shard

# What is compared by one worker, which takes two seconds of processor time and 140 MB, and about as
# much as a bucket of a search holds.
_IMAGES_AT_ONCE = 2**20
# A part has at most 8,192 images.
_PARTS_AT_ONCE = 32


def search_sizes(staging: StagingArea, parts: tuple[str, ...], images: int) -> SearchSizes | None:
    """How a search for duplicates among so many images is cut; None where one worker does it."""
    if images <= _IMAGES_AT_ONCE or staging.settings.duplicates.search == "off":
        return None
    buckets = -(-images // _IMAGES_AT_ONCE)
    # A preparation that is gone on with may have more parts than before.
    searched = hashlib.sha256(f"{parts} {_PARTS_AT_ONCE} {buckets}".encode()).hexdigest()[:12]
    return SearchSizes(folder=f"search-{searched}", parts=_PARTS_AT_ONCE, buckets=buckets)


def build_pipeline(
    staging: StagingArea, tasks: Sequence[str], beam_options: Sequence[str], images: int = 0
) -> beam.Pipeline:
    """The pipeline over these tasks, on the runner that the options name or else on FnApiRunner.

    Args:
        staging: the staging area.
        tasks: their names.
        beam_options: Beam's command-line options.
        images: how many the source has.

    Raises:
        DataError: Beam does not know the runner or an option, or refuses an option's value.

    """
    pipeline = new_pipeline(beam_options)
    names = tuple(tasks)
    scanned = functools.partial(scan, staging=staging)
    sizes = search_sizes(staging, names, images)
    resolved = functools.partial(resolve, staging=staging, parts=names, search=sizes)
    runs = group_parts(names)
    written = functools.partial(
        write_shard, staging=staging, parts=tuple(runs or names), merged=bool(runs)
    )
    made = (
        pipeline
        | "Tasks" >> beam.Create(names)
        | "Scan" >> beam.FlatMap(scanned).with_output_types(tuple[str, str])
        | "All parts" >> beam.GroupByKey()
    )
    if sizes is not None:
        made = _search(made, staging, names, sizes)
    if runs:
        shards = _merge(made, resolved, staging, runs)
    else:
        shards = made | "Resolve" >> beam.FlatMap(resolved).with_output_types(
            tuple[str, ShardRange]
        )
    _ = (
        shards
        | "Shards" >> beam.GroupByKey()
        | "Write" >> beam.FlatMap(written).with_output_types(None)
    )
    return pipeline


def _search(
    made: beam.PCollection, staging: StagingArea, parts: tuple[str, ...], sizes: SearchSizes
) -> beam.PCollection:
    """The stages of a search for duplicates, from one group of all parts to one of all results."""
    cut = functools.partial(cut_parts, parts=parts, sizes=sizes)
    spread = functools.partial(spread_images, staging=staging, parts=parts, sizes=sizes)
    collapsed = functools.partial(collapse_bucket, staging=staging, sizes=sizes)
    compared = functools.partial(compare_bucket, staging=staging, sizes=sizes)
    return (
        made
        | "Cut" >> beam.FlatMap(cut).with_output_types(tuple[str, int])
        | "Parts" >> beam.GroupByKey()
        | "Spread" >> beam.FlatMap(spread).with_output_types(tuple[str, Place])
        | "Equal ones" >> beam.GroupByKey()
        | "Collapse" >> beam.FlatMap(collapsed).with_output_types(tuple[str, Place])
        | "Bands" >> beam.GroupByKey()
        | "Compare" >> beam.FlatMap(compared).with_output_types(tuple[str, str])
        | "All found" >> beam.GroupByKey()
    )


def _merge(
    made: beam.PCollection,
    resolve: Resolve,
    staging: StagingArea,
    runs: Mapping[str, Sequence[str]],
) -> beam.PCollection:
    """The stages from one group of all parts to the shards, by way of runs of merged parts."""
    resolved = functools.partial(resolve_into_runs, resolve=resolve, runs=tuple(runs))
    merged = functools.partial(merge_run, staging=staging, runs=runs)
    listed = functools.partial(list_shards, staging=staging)
    return (
        made
        | "Resolve" >> beam.FlatMap(resolved).with_output_types(tuple[str, str])
        | "Runs" >> beam.GroupByKey()
        | "Merge" >> beam.FlatMap(merged).with_output_types(tuple[str, str])
        | "All runs" >> beam.GroupByKey()
        | "List" >> beam.FlatMap(listed).with_output_types(tuple[str, ShardRange])
    )


def run_pipeline(
    staging: StagingArea, tasks: Sequence[str], beam_options: Sequence[str], images: int
) -> None:
    """Run it to its end; for the arguments see `build_pipeline`.

    Raises:
        DataError: as `build_pipeline`.
        TwofoldError: a worker found something at fault, mostly the input (DataError).
        OSError: a worker could not read or write a file.

    """
    with quiet():
        pipeline = build_pipeline(staging, tasks, beam_options, images)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            fault = fault_of(error)
            if fault is None:
                raise
            raise fault from error
