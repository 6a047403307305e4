"""Beam pipeline of a preparation.

The pipeline is linear, which every runner can do alike: names of tasks, scanned; one group of all
parts, resolved; a group for each shard, written. Only names travel through Beam; what they name
lies in the staging area.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import apache_beam as beam

from twofold.components.data.preparation.engines.runners import new_pipeline
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.preparation.resolve import resolve
from twofold.components.data.preparation.scan import scan
from twofold.components.data.preparation.staging_area import ShardRange, StagingArea
from twofold.components.data.preparation.write_shards import write_shard
from twofold.components.errors import DataError


def build_pipeline(
    staging: StagingArea, tasks: Sequence[str], beam_options: Sequence[str]
) -> beam.Pipeline:
    """The pipeline over these tasks, on the runner that the options name or else on FnApiRunner.

    Raises:
        DataError: Beam does not know the runner or an option, or refuses an option's value.

    """
    pipeline = new_pipeline(beam_options)
    names = tuple(tasks)
    scanned = functools.partial(scan, staging=staging)
    resolved = functools.partial(resolve, staging=staging, parts=names)
    written = functools.partial(write_shard, staging=staging, parts=names)
    _ = (
        pipeline
        | "Tasks" >> beam.Create(names)
        | "Scan" >> beam.FlatMap(scanned).with_output_types(tuple[str, str])
        | "All parts" >> beam.GroupByKey()
        | "Resolve" >> beam.FlatMap(resolved).with_output_types(tuple[str, ShardRange])
        | "Shards" >> beam.GroupByKey()
        | "Write" >> beam.FlatMap(written).with_output_types(None)
    )
    return pipeline


def run_pipeline(staging: StagingArea, tasks: Sequence[str], beam_options: Sequence[str]) -> None:
    """Run it to its end.

    Raises:
        DataError: as `build_pipeline`, or a worker found the input at fault.
        OSError: a worker could not read or write a file.

    """
    with quiet():
        pipeline = build_pipeline(staging, tasks, beam_options)
        try:
            pipeline.run().wait_until_finish()
        except Exception as error:
            fault = _input_at_fault(error) or _system_error(error)
            if fault is None:
                raise
            raise fault from error


def _system_error(error: Exception) -> OSError | None:
    """The error of the operating system that Beam's own runner wrapped, None where it did not."""
    cause = error.__context__
    if not isinstance(cause, OSError) or cause.errno is None:
        return None
    return OSError(cause.errno, cause.strerror, cause.filename)


def _input_at_fault(error: Exception) -> DataError | None:
    """The DataError that a worker raised, None where it raised something else.

    Runners add to an exception's message where it was raised, or hand back its traceback as text.
    """
    name = DataError.__name__
    text = f"{name}: {error}" if isinstance(error, DataError) else str(error)
    found = re.search(rf"\b{name}: (.+?)(?: \[while running|\n|$)", text)
    return DataError(found.group(1)) if found else None
