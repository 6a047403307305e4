"""Preparation of a data set: from a source to a folder of shards with a manifest."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from twofold.components import files
from twofold.components.data.preparation.previous_dataset import reusable, stage_previous_rows
from twofold.components.data.preparation.publish import assemble, publish
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.preparation.report_content import RenderPage
from twofold.components.data.preparation.resolve import RESOLUTION, check_rejects, read_resolution
from twofold.components.data.preparation.resumable_directory import (
    discard_abandoned,
    resumable_directory,
)
from twofold.components.data.preparation.staging_area import (
    STAGING_VERSION,
    StagingArea,
    read_json,
    settings_record,
    write_json,
)
from twofold.components.data.preparation.write_shards import close_files
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import Source, SourceInfo
from twofold.components.data.store.manifest import (
    MANIFEST_FILE,
    Manifest,
    dataset_fingerprint,
    load_manifest,
)
from twofold.components.errors import DataError

# How many tasks a source is cut into, unless they would be smaller or larger than these.
_TASKS = 128
_TASK_ITEMS = (256, 8192)
_WATCH_SECONDS = 0.5
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
    settings = settings or PrepareSettings()
    directory = files.resolve(output_dir)
    if beam_options:
        # Beam takes seconds to import.
        with quiet():
            from twofold.components.data.preparation.runners import check_runner

        earlier = None if previous is None else files.resolve(previous)
        folders = {"output folder": directory, "earlier dataset": earlier}
        check_runner(beam_options, source, folders)
    info = source.info()
    fingerprint = dataset_fingerprint(info.kind, info.fingerprint, settings_record(settings))
    parent, _, folder = directory.rpartition("/")
    staging_path = files.join(parent, f".tmp-{folder}-{fingerprint[:12]}")
    present = _present(directory, fingerprint, settings)
    if present is not None:
        # A kill after the folder was published leaves what it was made in.
        discard_abandoned(staging_path)
        return present
    with (
        resumable_directory(
            staging_path,
            f"{_staged_by(fingerprint, code)} {STAGING_VERSION}",
            abandoned=f".tmp-{folder}-",
        ),
        contextlib.ExitStack() as closing,
    ):
        closing.callback(close_files)
        # Another process may have published the folder while this one waited for it.
        present = _present(directory, fingerprint, settings)
        if present is not None:
            return present
        staging = StagingArea(
            directory=staging_path,
            source=source,
            settings=settings,
            previous=_usable(previous, info, settings),
            weighted=info.weighted,
        )
        for each in ("tasks", "parts", "shards", "dataset"):
            files.make_directory(staging.folder(each))
        tasks = _write_tasks(staging, info)
        stage_previous_rows(staging)
        with _watched(staging, len(tasks), info.items, progress):
            with quiet():
                # Beam takes seconds to import, which only this step should cost.
                from twofold.components.data.preparation.beam_pipeline import run_pipeline

            run_pipeline(staging, tasks, beam_options)
        read = read_resolution(staging)["read"]
        if read != info.items:
            raise DataError(
                f"{name}: the source listed {info.items} images and gave {read}; it changed while "
                f"it was being prepared"
            )
        manifest = assemble(
            staging,
            tasks,
            name=name,
            info=info,
            fingerprint=fingerprint,
            render_page=render_page,
            code=code,
        )
        publish(staging, directory)
    return manifest


def find_previous(
    datasets: Path | str,
    info: SourceInfo,
    settings: PrepareSettings,
    accept: Callable[[str], bool] = lambda directory: True,
) -> str | None:
    """The newest dataset in a local folder of datasets that `prepare` could make use of.

    Args:
        datasets: the folder.
        info: of the source to prepare.
        settings: to prepare it by.
        accept: tells whether a dataset that fits both may be made use of, by its directory.

    """
    if files.is_remote(datasets):
        return None
    manifests = sorted(
        Path(datasets).glob(f"*/{MANIFEST_FILE}"),
        key=lambda path: (path.stat().st_mtime_ns, str(path)),
        reverse=True,
    )
    found = (_usable(path.parent, info, settings) for path in manifests)
    return next((each for each in found if each is not None and accept(each)), None)


def _staged_by(fingerprint: str, code: Mapping[str, str] | None) -> str:
    """What a preparation that was left unfinished is known by."""
    return fingerprint if code is None else f"{fingerprint} {json.dumps(code, sort_keys=True)}"


def _usable(previous: Path | str | None, info: SourceInfo, settings: PrepareSettings) -> str | None:
    if previous is None:
        return None
    directory = files.resolve(previous)
    try:
        manifest = load_manifest(directory)
    except DataError:
        # It would only have saved time.
        return None
    return directory if reusable(manifest, info.kind, settings) else None


def _present(directory: str, fingerprint: str, settings: PrepareSettings) -> Manifest | None:
    """The dataset that is already there; None where the folder is absent or empty."""
    if not files.names(directory) and (files.is_remote(directory) or not Path(directory).is_file()):
        return None
    if not files.exists(files.join(directory, MANIFEST_FILE)):
        parent, _, folder = directory.rpartition("/")
        if files.exists(files.join(parent, f".tmp-{folder}-{fingerprint[:12]}")):
            # In a bucket, a kill while it was being published leaves some of its files.
            return None
        raise DataError(
            f"{directory} exists and is no prepared dataset (it has no {MANIFEST_FILE}); "
            "give another folder or remove it"
        )
    manifest = load_manifest(directory)
    if manifest.fingerprint != fingerprint:
        raise DataError(
            f"{directory} holds another dataset: expected fingerprint {fingerprint[:12]}, found "
            f"{manifest.fingerprint[:12]} ({manifest.name}); give another folder or remove it"
        )
    counts = manifest.counts
    check_rejects(counts.read, counts.rejected, counts.reasons, (), settings.max_reject_share)
    return manifest


def _write_tasks(staging: StagingArea, info: SourceInfo) -> list[str]:
    """Write what the source's tasks are, for workers to read; their names."""
    listed = staging.path("tasks", "names.json")
    if files.exists(listed):
        found: list[str] = read_json(listed)["names"]
        return found
    least, most = _TASK_ITEMS
    items = min(max(-(-info.items // _TASKS), least), most)
    names = []
    for number, task in enumerate(staging.source.tasks(items)):
        names.append(f"{number:06d}")
        files.write_bytes(staging.path("tasks", names[-1]), task)
    write_json(listed, {"names": names})
    return names


@contextlib.contextmanager
def _watched(
    staging: StagingArea, tasks: int, images: int, progress: Callable[[int], None] | None
) -> Iterator[None]:
    """Tells the progress of the block by what lies in the staging area, on whatever runner."""
    if progress is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_SECONDS):
            progress(int(images * _share_done(staging, tasks)))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
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
