"""Beam runners: their options, and what runners on other machines need of them.

Most runners can run their workers beside this process, where they see its files and packages.
Dataflow's workers, and those that any runner runs in containers, see neither: what they read and
write has to be in buckets, and Twofold has to be installed for them.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    SparkRunnerOptions,
    StandardOptions,
    TestOptions,
    WorkerOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.portable_runner import PortableRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from twofold.components import files
from twofold.components.data.preparation.engines import dask_engine
from twofold.components.data.preparation.quiet import quiet
from twofold.components.data.sources.source import Source
from twofold.components.errors import DataError

# It warns of every runner that it stops at the end of the process.
logging.getLogger("apache_beam.utils.subprocess_server").setLevel(logging.ERROR)

_DATAFLOW = ("DataflowRunner", "TestDataflowRunner")
_DATAFLOW_CLIENT = "apache_beam.runners.dataflow.internal.apiclient"
_INSTALL = "pip install 'twofold[gcp]'"
# With these schemes, too, a path means something to this machine or process alone.
_NO_BUCKETS = ("file", "local", "memory")


def new_pipeline(beam_options: Sequence[str]) -> beam.Pipeline:
    """An empty pipeline on the runner that the options name, or else on FnApiRunner.

    Raises:
        DataError: Beam does not know the runner or an option, or refuses an option's value.

    """
    with _refusals(beam_options):
        options = _parse(beam_options)
        return beam.Pipeline(runner=_runner(options), options=options)


def check_runner(
    beam_options: Sequence[str], source: Source, folders: Mapping[str, str | None]
) -> None:
    """Refuse what the runner could not work with, before anything is read or written.

    Beam's own checks of its options are among these, but for those that ask the network.

    Args:
        beam_options: Beam's command-line options.
        source: what the workers would read.
        folders: what else they would use, by what it is; None where there is none.

    Raises:
        DataError: it lists all that is missing or wrong, and what to give instead.

    """
    with quiet(), _refusals(beam_options):
        options = _parse(beam_options)
        runner = _runner(options)
        is_dataflow = type(runner).__name__ in _DATAFLOW
        wrong = _wrong_for_cloud(options, runner) if is_dataflow else []
        if is_dataflow or _in_containers(options, runner):
            wrong += _wrong_for_packages(options) + _wrong_paths(source, folders)
        if type(runner) is PortableRunner and not options.view_as(PortableOptions).job_endpoint:
            wrong.append("--job_endpoint: give the runner's job service, as in localhost:8099")
        wrong += _refused_by_beam(beam_options, runner)
    if wrong:
        listed = "".join(f"\n- {each}" for each in wrong)
        raise DataError(f"{type(runner).__name__} cannot run this; missing or wrong:{listed}")


@contextlib.contextmanager
def _refusals(beam_options: Sequence[str]) -> Iterator[None]:
    """Turns what Beam raises and prints about its options into a DataError."""
    usage = io.StringIO()
    try:
        with contextlib.redirect_stderr(usage):
            yield
    except SystemExit as error:
        reason = usage.getvalue().strip().rpartition("error: ")[2]
        raise DataError(f"Beam refuses the options {' '.join(beam_options)}: {reason}") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"Beam refuses the options {' '.join(beam_options)}: {error}") from error


def _parse(beam_options: Sequence[str]) -> PipelineOptions:
    options = PipelineOptions(flags=list(beam_options))
    name = options.view_as(StandardOptions).runner
    if dask_engine.is_dask(name):
        dask_engine.add_options()
        options = PipelineOptions(flags=list(beam_options))
    known = options.get_all_options(drop_default=True)
    given = options.get_all_options(drop_default=True, retain_unknown_options=True)
    # Other runners take options that Beam learns of only when it talks to them.
    strict = name in (None, "FnApiRunner") or dask_engine.is_dask(name)
    unknown = sorted(set(given) - set(known)) if strict else []
    if unknown:
        raise DataError(f"unknown Beam options: {', '.join(f'--{name}' for name in unknown)}")
    setup = options.view_as(SetupOptions)
    if setup.save_main_session is None:
        # Dataflow would send the globals of whatever program this is, which no stage uses.
        setup.save_main_session = False
    return options


def _runner(options: PipelineOptions) -> PipelineRunner:
    # DirectRunner, Beam's own default, may download and become another runner.
    name = options.view_as(StandardOptions).runner
    if dask_engine.is_dask(name):
        return dask_engine.dask_runner()
    if name is None:
        return FnApiRunner()
    try:
        return create_runner(name)
    except ValueError as error:
        # Beam's list is without Dask's, which it knows by its full name.
        text = str(error).replace("Valid values are ", "Valid values are DaskRunner, ")
        raise ValueError(text) from error


def _in_containers(options: PipelineOptions, runner: PipelineRunner) -> bool:
    """Whether a portable runner will run the workers in containers, which is their default."""
    if not isinstance(runner, PortableRunner):
        return False
    kind = options.view_as(PortableOptions).environment_type
    if kind:
        return kind in ("DOCKER", "beam:env:docker:v1")
    flink = options.view_as(FlinkRunnerOptions).flink_master
    spark = options.view_as(SparkRunnerOptions).spark_master_url
    beside_this_process = {
        "PrismRunner": True,
        "FlinkRunner": flink in ("[local]", "[auto]"),
        "SparkRunner": re.match(r"local(\[.+\])?$", spark) is not None,
    }
    return not beside_this_process.get(type(runner).__name__, False)


def _wrong_for_cloud(options: PipelineOptions, runner: PipelineRunner) -> list[str]:
    wrong = []
    if not (_can_import(_DATAFLOW_CLIENT) and _can_import("gcsfs")):
        wrong.append(f"Google Cloud's libraries: install them with {_INSTALL}")
    cloud = options.view_as(GoogleCloudOptions)
    if not cloud.project:
        wrong.append("--project: give the Google Cloud project's ID")
    if not (cloud.region or runner.get_default_gcp_region()):
        wrong.append("--region: give the one to run in, as in europe-west1")
    validator = PipelineOptionsValidator(options, runner)
    locations = {name: getattr(cloud, name) for name in ("temp_location", "staging_location")}
    given = [name for name, location in locations.items() if location is not None]
    # Either stands for both.
    for name in given or ["temp_location"]:
        if validator.validate_gcs_path(cloud, name):
            received = f", received {locations[name]}" if given else ""
            wrong.append(f"--{name}: give a folder in a bucket, as in gs://BUCKET/FOLDER{received}")
    return wrong


def _can_import(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def _wrong_for_packages(options: PipelineOptions) -> list[str]:
    """What keeps workers elsewhere from having Twofold and what it needs."""
    setup, workers = options.view_as(SetupOptions), options.view_as(WorkerOptions)
    portable = options.view_as(PortableOptions)
    if (
        workers.sdk_container_image
        or workers.worker_harness_container_image
        or portable.environment_config
        or portable.lookup_environment_option("docker_container_image")
    ):
        return []
    wrong = []
    file = setup.setup_file
    if file is None and not setup.extra_packages:
        wrong.append(
            "--setup_file: give Twofold's setup.py, from which the workers install it, or with "
            "--sdk_container_image an image that has it"
        )
    if file is not None and not (Path(file).name == "setup.py" and Path(file).is_file()):
        wrong.append(f"--setup_file: expected an existing setup.py, received {file}")
    if not _requires_gcsfs(setup.requirements_file):
        received = setup.requirements_file and f", received {setup.requirements_file}"
        wrong.append(
            "--requirements_file: give one with the line gcsfs, which the workers need for gs:// "
            f"and setup.py does not ask for{received or ''}"
        )
    return wrong


def _requires_gcsfs(file: str | None) -> bool:
    if file is None or not Path(file).is_file():
        return False
    return re.search(r"^gcsfs\b", Path(file).read_text(encoding="utf-8"), re.MULTILINE) is not None


def _wrong_paths(source: Source, folders: Mapping[str, str | None]) -> list[str]:
    wrong = [
        f"{what} {path}: give one in a bucket, as in gs://BUCKET/FOLDER, which all workers reach"
        for what, path in folders.items()
        if path is not None and not _in_bucket(path)
    ]
    found = _local_paths(source)
    if found:
        wrong.append(
            f"source {', '.join(found)}: copy it to a bucket and give its path there; workers see "
            "no files of this machine"
        )
    return wrong


def _in_bucket(path: str) -> bool:
    return files.is_remote(path) and path.partition("://")[0] not in _NO_BUCKETS


class _Paths(pickle.Pickler):
    """Pickles into nothing, and keeps the texts that are paths of files of this machine."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.found: list[str] = []

    def persistent_id(self, obj: Any) -> str | None:
        if not isinstance(obj, str | os.PathLike):
            return None
        path = os.fspath(obj)
        if isinstance(path, str) and _is_local(path):
            self.found.append(path)
        # A Path would be pickled as its parts.
        return None if isinstance(obj, str) else "path"


def _is_local(path: str) -> bool:
    if files.is_remote(path):
        return not _in_bucket(path)
    try:
        return os.path.isabs(path) and os.path.exists(path)  # noqa: PTH110, PTH117
    except ValueError:
        return False


def _local_paths(source: Source) -> list[str]:
    """The paths of this machine's files in what the workers would be sent of a source."""
    paths = _Paths()
    paths.dump(source)
    return list(dict.fromkeys(paths.found))


def _refused_by_beam(beam_options: Sequence[str], runner: PipelineRunner) -> list[str]:
    """What Beam refuses of the options beyond what is looked at here."""
    options = _parse(beam_options)
    # Else it asks the bucket how it deletes; and where there is none it creates one.
    options.view_as(TestOptions).dry_run = True
    cloud = options.view_as(GoogleCloudOptions)
    cloud.temp_location = cloud.staging_location = "gs://bucket/folder"
    cloud.project = cloud.project or "project"
    cloud.region = cloud.region or "region"
    refused: list[str] = PipelineOptionsValidator(options, runner).validate()
    return refused
