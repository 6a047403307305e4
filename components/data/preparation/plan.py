"""Preparation plan: what is to be prepared and where, and the staging area that begins with it.

Nothing is written before `lay_out`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from twofold.components import files
from twofold.components.data.preparation.previous_dataset import stage_previous_rows
from twofold.components.data.preparation.staging_area import (
    RESOLUTION,
    StagingArea,
    is_unread,
    read_json,
    read_rejects,
    retry_of,
    write_json,
)
from twofold.components.data.rules.prepare_settings import (
    PrepareSettings,
    check_rejects,
    settings_record,
)
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


@dataclass(frozen=True)
class Plan:
    """A preparation to be made.

    Attributes:
        name: of the dataset.
        directory: the dataset's folder, absolute or with a scheme.
        source: where the images come from.
        info: what the source says of itself.
        settings: what is accepted, split, left out, and how it is stored.
        fingerprint: of the dataset that this makes.
        previous: an earlier dataset that may be of use, None for none.
        code: hashes of the modules that prepare it, by name; None leaves them out.

    """

    name: str
    directory: str
    source: Source
    info: SourceInfo
    settings: PrepareSettings
    fingerprint: str
    previous: str | None
    code: Mapping[str, str] | None = None

    @property
    def staging_prefix(self) -> str:
        """How the names of staging areas of the dataset's folder begin."""
        return f".tmp-{self.directory.rpartition('/')[2]}-"

    @property
    def staging_directory(self) -> str:
        """Where the stages work: beside the dataset's folder, named by what is to be made."""
        parent = self.directory.rpartition("/")[0]
        return files.join(parent, f"{self.staging_prefix}{self.fingerprint[:12]}")

    @property
    def work(self) -> str:
        """What a preparation that was left unfinished is known by."""
        if self.code is None:
            return self.fingerprint
        return f"{self.fingerprint} {json.dumps(self.code, sort_keys=True)}"

    @property
    def record(self) -> dict[str, object]:
        """The settings as a manifest holds them, in plain JSON values."""
        record: dict[str, object] = json.loads(json.dumps(settings_record(self.settings)))
        return record

    def finished(self) -> Manifest | None:
        """The dataset where it is there already; None where its folder is absent or empty.

        Raises:
            DataError: the folder holds something else, or too many images were rejected.

        """
        directory = self.directory
        if not files.names(directory):
            return None
        if not files.exists(files.join(directory, MANIFEST_FILE)):
            if files.exists(self.staging_directory):
                # In a bucket, a kill while it was being published leaves some of its files.
                return None
            raise DataError(
                f"{directory} exists and is no prepared dataset (it has no {MANIFEST_FILE}); "
                "give another folder or remove it"
            )
        manifest = load_manifest(directory)
        if manifest.fingerprint != self.fingerprint:
            raise DataError(
                f"{directory} holds another dataset: expected fingerprint {self.fingerprint[:12]}, "
                f"found {manifest.fingerprint[:12]} ({manifest.name}); give another folder or "
                f"remove it"
            )
        counts, most = manifest.counts, self.settings.max_reject_share
        check_rejects(counts.read, counts.rejected, counts.reasons, (), most)
        return manifest


def make_plan(
    source: Source,
    output_dir: Path | str,
    *,
    name: str,
    settings: PrepareSettings | None = None,
    previous: Path | str | None = None,
    code: Mapping[str, str] | None = None,
) -> Plan:
    """Plan a preparation; see `prepare_dataset.prepare` for the arguments."""
    settings = settings or PrepareSettings()
    info = source.info()
    return Plan(
        name=name,
        directory=files.resolve(output_dir),
        source=source,
        info=info,
        settings=settings,
        fingerprint=dataset_fingerprint(info.kind, info.fingerprint, settings_record(settings)),
        previous=None if previous is None else files.resolve(previous),
        code=code,
    )


def lay_out(plan: Plan) -> tuple[StagingArea, list[str]]:
    """The staging area with all that the stages need, and the names of the tasks."""
    previous = plan.previous
    staging = StagingArea(
        directory=plan.staging_directory,
        source=plan.source,
        settings=plan.settings,
        previous=None if previous is None else _usable(previous, plan.info, plan.settings),
        weighted=plan.info.weighted,
    )
    staging.make_folders()
    tasks = _write_tasks(staging, plan.info.items)
    stage_previous_rows(staging)
    return staging, tasks


def _write_tasks(staging: StagingArea, images: int) -> list[str]:
    """Write what the source's tasks are, for workers to read; their names."""
    listed = staging.path("tasks", "names.json")
    if files.exists(listed):
        return _with_retries(staging, read_json(listed)["names"])
    least, most = _TASK_ITEMS
    items = min(max(-(-images // _TASKS), least), most)
    names = []
    for number, task in enumerate(staging.source.tasks(items)):
        names.append(f"{number:06d}")
        files.write_bytes(staging.path("tasks", names[-1]), task)
    write_json(listed, {"names": names})
    return names


def _with_retries(staging: StagingArea, tasks: list[str]) -> list[str]:
    """The tasks of an unfinished preparation, and one for all that could not be read of each.

    Once the shards are decided upon, nothing is tried again.
    """
    parts = set(files.names(staging.folder("parts")))
    if RESOLUTION in parts:
        return tasks
    retries = []
    for task in tasks:
        name = retry_of(task)
        if f"{task}.arrow" not in parts or name in tasks:
            continue
        unread = [each["key"] for each in read_rejects(task, staging) if is_unread(each)]
        if unread:
            source = files.read_bytes(staging.path("tasks", task))
            files.write_bytes(staging.path("tasks", name), source)
            write_json(staging.path("tasks", f"{name}.keys"), {"keys": unread})
            retries.append(name)
    if retries:
        tasks = [*tasks, *retries]
        write_json(staging.path("tasks", "names.json"), {"names": tasks})
    return tasks


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
    found = (_usable(files.resolve(path.parent), info, settings) for path in manifests)
    return next((each for each in found if each is not None and accept(each)), None)


def _usable(directory: str, info: SourceInfo, settings: PrepareSettings) -> str | None:
    try:
        manifest = load_manifest(directory)
    except DataError:
        # It would only have saved time.
        return None
    images = json.loads(json.dumps(settings_record(settings)["images"]))
    alike = manifest.source.kind == info.kind and manifest.settings.get("images") == images
    return directory if alike else None
