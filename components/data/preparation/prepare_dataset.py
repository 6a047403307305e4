"""Preparation of a data set: from a source to a folder of shards with a manifest.

The data flow one way: `plan` (what and where), `scan`, `resolve` and `write_shards` (the stages of
the Beam pipeline, none of which knows another: they leave their work in the staging area),
`publish` (the manifest, last).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from twofold.components import files
from twofold.components.data.preparation.plan import lay_out, make_plan
from twofold.components.data.preparation.publish import publish
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.preparation.report_content import RenderPage
from twofold.components.data.preparation.staging_area import (
    RESOLUTION,
    StagingArea,
    discard_abandoned,
    open_staging,
    read_resolution,
)
from twofold.components.data.preparation.write_shards import close_files
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import Source
from twofold.components.data.store.manifest import Manifest

_REPORT_SECONDS = 0.5
# Of the time of a preparation, what goes into the first of its two long stages.
_SCAN_SHARE = 0.8


def prepare(
    source: Source,
    output_dir: Path | str,
    *,
    name: str,
    settings: PrepareSettings | None = None,
    previous: Path | str | None = None,
    beam_options: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    render_page: RenderPage | None = None,
    code: Mapping[str, str] | None = None,
) -> Manifest:
    """Write a dataset: shards, a table of the images, rejects, a report, and last manifest.json.

    The folder appears whole or not at all, and holds the same bytes whatever runner and number of
    workers made it, and whether it was made in one go, after a kill, or with the help of an earlier
    dataset. If it already holds this dataset, nothing is done. The folder must be on a file system
    that all workers share; it may be in a bucket.

    Args:
        source: where the images come from.
        output_dir: the dataset's folder.
        name: what to call the dataset in its manifest.
        settings: what is accepted, split, left out, and how it is stored; None takes the defaults.
        previous: an earlier dataset. Images that it holds and that the source says are the same are
            not read again, and shards that would be the same are taken over (as hard links, where
            the disk can). One of another kind of source, or stored otherwise, is not made use of.
        beam_options: Beam's command-line options; without `--runner=` it is FnApiRunner.
        progress: called now and then, from a thread of its own, with how many images are through.
        render_page: gives the page that people look at, ``components.pages.dataset_page``'s; None
            leaves it out.
        code: hashes of the modules that prepare it, by name, to be kept with it in `code.json`;
            what other code left unfinished is not gone on with.

    Raises:
        DataError: too many images were rejected (or all), two have one key, the folder holds
            something else, or the runner that the options name lacks something.

    """
    if beam_options:
        # Beam takes seconds to import.
        with quiet():
            from twofold.components.data.preparation.engines.runners import check_runner

        earlier = None if previous is None else files.resolve(previous)
        folders = {"output folder": files.resolve(output_dir), "earlier dataset": earlier}
        check_runner(beam_options, source, folders)
    plan = make_plan(source, output_dir, name=name, settings=settings, previous=previous, code=code)
    manifest = plan.finished()
    if manifest is not None:
        # A kill after the folder was published leaves what it was made in.
        discard_abandoned(plan.staging_directory)
        return manifest
    with (
        open_staging(plan.staging_directory, plan.work, abandoned=plan.staging_prefix),
        contextlib.ExitStack() as closing,
    ):
        closing.callback(close_files)
        # Another process may have published the folder while this one waited for it.
        manifest = plan.finished()
        if manifest is None:
            staging, tasks = lay_out(plan)
            with _progress_reported(staging, len(tasks), plan.info.items, progress):
                with quiet():
                    # Beam takes seconds to import, which only this step should cost.
                    from twofold.components.data.preparation.beam_pipeline import run_pipeline

                run_pipeline(staging, tasks, beam_options, plan.info.items)
            manifest = publish(plan, staging, tasks, render_page)
    return manifest


@contextlib.contextmanager
def _progress_reported(
    staging: StagingArea, tasks: int, images: int, progress: Callable[[int], None] | None
) -> Iterator[None]:
    """Tells the progress of the block by what lies in the staging area, on whatever runner."""
    if progress is None:
        yield
        return
    over = threading.Event()

    def report() -> None:
        while not over.wait(_REPORT_SECONDS):
            progress(int(images * _share_done(staging, tasks)))

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        over.set()
        reporter.join()
    progress(images)


def _share_done(staging: StagingArea, tasks: int) -> float:
    """Which share of the work is done."""
    names = files.names(staging.folder("parts"))
    scanned = sum(name.endswith(".arrow") and name != "previous.arrow" for name in names)
    if RESOLUTION not in names:
        return _SCAN_SHARE * scanned / tasks
    shard_ranges = len(read_resolution(staging)["shard_ranges"])
    made = files.names(staging.folder("shards"))
    written = sum(name.endswith(".json") for name in made)
    return _SCAN_SHARE + (1 - _SCAN_SHARE) * written / max(1, shard_ranges)
