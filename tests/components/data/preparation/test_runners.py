"""Whichever runner runs a preparation, it writes the same bytes."""

import contextlib
import functools
import importlib.metadata
import io
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from apache_beam.internal import pickler
from PIL import Image

from twofold.components import files
from twofold.components.data.preparation import beam_pipeline
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.preparation.resolve import resolve
from twofold.components.data.preparation.scan import scan
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.preparation.write_shards import write_shard
from twofold.components.data.rules.prepare_settings import DuplicateRules, PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.sources.source import select_all
from twofold.components.errors import DataError
from twofold.components.pages.dataset_page import render_report

REPOSITORY = Path(__file__).resolve().parents[4]
ENGINES = Path(os.environ.get("TWOFOLD_ENGINES", REPOSITORY / ".engines"))
BEAM_VERSION = importlib.metadata.version("apache-beam")
SMALL = PrepareSettings(images_per_shard=150)
MIXED = PrepareSettings(
    images_per_shard=12,
    max_reject_share=0.2,
    duplicates=DuplicateRules(within="remove", leakage="remove"),
)


def smooth(seed):
    """An image that still looks like itself when it is stored once more."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC)


def as_jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture(scope="session")
def mixed(tmp_path_factory, write_files):
    """A folder of 60 JPEGs and three files that are no good images.

    Of the JPEGs two are equal and two alike in one split, and as many in two splits.
    """
    images = {f"train/{'ab'[n % 2]}/{n:02d}.jpg": as_jpeg(smooth(n), 90) for n in range(45)}
    images |= {f"val/{'ab'[n % 2]}/{n:02d}.jpg": as_jpeg(smooth(100 + n), 90) for n in range(11)}
    images["train/a/equal.jpg"] = images["train/a/00.jpg"]
    images["train/a/alike.jpg"] = as_jpeg(smooth(1), 60)
    images["train/a/leaked.jpg"] = images["val/a/00.jpg"]
    images["train/a/leaked-alike.jpg"] = as_jpeg(smooth(101), 60)
    bad = {"train/a/empty.jpg": b"", "train/b/text.jpg": b"no image"}
    bad["val/a/cut.jpg"] = images["val/a/02.jpg"][:300]
    return write_files(tmp_path_factory.mktemp("mixed"), {**images, **bad})


@pytest.fixture(scope="session")
def expected(tmp_path_factory, prepared, mixed, digests):
    """What FnApiRunner in this process makes of both data sets."""
    directory = tmp_path_factory.mktemp("mixed-set") / "set"
    prepare(
        build_source("folder", path=mixed),
        directory,
        name="mixed",
        settings=MIXED,
        render_page=render_report,
    )
    return {"dsprites": digests(prepared), "folder": digests(directory)}


@pytest.fixture
def prepare_both(tmp_path, mixed, digests):
    """A function from Beam's options to the sha256 of each file of both data sets."""

    def prepare_with(*options):
        found = {}
        for kind, name, settings in (("dsprites", "small", SMALL), ("folder", "mixed", MIXED)):
            given = {"path": mixed} if kind == "folder" else {"images": 500}
            source, directory = build_source(kind, **given), tmp_path / kind
            prepare(
                source,
                directory,
                name=name,
                settings=settings,
                beam_options=options,
                render_page=render_report,
            )
            found[kind] = digests(directory)
        return found

    return prepare_with


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.contextmanager
def running(command, port):
    """A server in a process of its own, once it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            assert process.poll() is None, f"{command} ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def job_service():
    """The address of Beam's own job service, which stands for any runner's."""
    port = free_port()
    module = "apache_beam.runners.portability.local_job_service_main"
    with running([sys.executable, "-m", module, "-p", str(port)], port):
        yield f"localhost:{port}"


@pytest.fixture
def dask_cluster():
    """A function that starts a Dask cluster of two worker processes, which nothing restarts."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--no-dashboard"]
        stack.enter_context(running([*command, "--host=127.0.0.1", f"--port={port}"], port))
        address = f"tcp://127.0.0.1:{port}"
        command = [sys.executable, "-m", "distributed.cli.dask_worker", address]
        command += ["--no-nanny", "--nthreads=1", "--no-dashboard"]
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(2):
                here = free_port()
                stack.enter_context(
                    running(
                        [*command, f"--worker-port={here}", f"--local-directory={folder}"], here
                    )
                )
            yield [f"--dask_client_address={address}"]


@pytest.fixture
def prism():
    binary = ENGINES / f"prism-{BEAM_VERSION}"
    if not binary.exists():
        pytest.skip(f"{binary} is missing: `make engines` builds it, where go is installed")
    return ["--runner=PrismRunner", f"--prism_location={binary}"]


@pytest.fixture
def flink():
    jar = ENGINES / f"beam-runners-flink-1.20-job-server-{BEAM_VERSION}.jar"
    if not jar.exists():
        pytest.skip(f"{jar} is missing: `make engines` fetches it, where Maven's repository has it")
    if shutil.which("java") is None:
        pytest.skip("java is missing, which Flink needs")
    opened = ("java.util", "java.lang", "java.nio", "sun.nio.ch")
    return [
        *("--runner=FlinkRunner", "--flink_version=1.20", "--flink_master=[local]"),
        *("--parallelism=2", "--environment_type=LOOPBACK", f"--flink_job_server_jar={jar}"),
        *(
            f"--job_server_jvm_properties=--add-opens=java.base/{package}=ALL-UNNAMED"
            for package in opened
        ),
    ]


@pytest.fixture
def worker_processes(monkeypatch):
    """The option to run loopback workers in processes, which Beam starts as `python`."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return "--experiments=use_loopback_process_worker"


def test_the_mixed_folder_has_all_that_engines_could_disagree_on(tmp_path, mixed):
    source = build_source("folder", path=mixed)
    manifest = prepare(source, tmp_path / "set", name="mixed", settings=MIXED)
    assert manifest.counts.read == 63
    assert manifest.counts.rejected == 3
    assert manifest.duplicates.removed_within == 2
    assert manifest.duplicates.removed_leaked == 2
    assert {name: len(split.shards) for name, split in manifest.splits.items()}["train"] >= 4


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_two_workers_here_write_the_same_bytes(prepare_both, expected, mode):
    options = [f"--direct_running_mode={mode}", "--direct_num_workers=2"]
    assert prepare_both(*options) == expected


@pytest.fixture
def small_buckets(monkeypatch):
    """Makes preparations search for duplicates by many workers, however few the images are."""
    monkeypatch.setattr(beam_pipeline, "_IMAGES_AT_ONCE", 25)
    monkeypatch.setattr(beam_pipeline, "_PARTS_AT_ONCE", 1)


def test_a_search_by_many_workers_writes_the_same_bytes(prepare_both, expected, small_buckets):
    assert prepare_both() == expected


@pytest.mark.engine
def test_a_search_on_a_portable_engine_writes_the_same_bytes(
    prepare_both, expected, small_buckets, job_service
):
    options = [f"--job_endpoint={job_service}", "--environment_type=LOOPBACK"]
    assert prepare_both("--runner=PortableRunner", *options) == expected


@pytest.mark.engine
def test_a_search_on_dask_writes_the_same_bytes(
    prepare_both, expected, small_buckets, dask_cluster
):
    assert prepare_both("--runner=DaskRunner", *dask_cluster) == expected


@pytest.mark.engine
def test_a_search_on_prism_writes_the_same_bytes(
    prepare_both, expected, small_buckets, prism, worker_processes
):
    assert prepare_both(*prism, worker_processes) == expected


@pytest.mark.engine
def test_a_portable_engine_writes_the_same_bytes(prepare_both, expected, job_service):
    options = [f"--job_endpoint={job_service}", "--environment_type=LOOPBACK"]
    assert prepare_both("--runner=PortableRunner", *options) == expected


@pytest.mark.engine
def test_prism_writes_the_same_bytes(prepare_both, expected, prism):
    assert prepare_both(*prism) == expected


@pytest.mark.engine
def test_prism_with_worker_processes_writes_the_same_bytes(
    prepare_both, expected, prism, worker_processes
):
    assert prepare_both(*prism, worker_processes) == expected


@pytest.mark.engine
def test_flink_writes_the_same_bytes(prepare_both, expected, flink, worker_processes):
    assert prepare_both(*flink, worker_processes) == expected


@pytest.mark.engine
def test_dask_writes_the_same_bytes(prepare_both, expected, dask_cluster):
    assert prepare_both("--runner=DaskRunner", *dask_cluster) == expected


class DeadlySource:
    """dSprites, and the end of whatever process reads them while a file is there."""

    def __init__(self, file):
        self._inner = build_source("dsprites", images=500)
        self._file = file

    def info(self):
        return self._inner.info()

    def tasks(self, items):
        return self._inner.tasks(items)

    def read(self, task, selected=select_all):
        if self._file.exists():
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._inner.read(task, selected)


@pytest.mark.engine
def test_dask_goes_on_without_a_worker_that_is_killed(tmp_path, expected, digests, dask_cluster):
    file, directory = tmp_path / "deadly", tmp_path / "set"
    file.touch()
    prepare(
        DeadlySource(file),
        directory,
        name="small",
        settings=SMALL,
        beam_options=["--runner=DaskRunner", *dask_cluster],
        render_page=render_report,
    )
    assert not file.exists()
    assert digests(directory) == expected["dsprites"]


class ChangedSource:
    """Three tasks, of which the last finds that its input is another one now."""

    def __init__(self):
        self._inner = build_source("dsprites", images=600)

    def info(self):
        return self._inner.info()

    def tasks(self, items):
        return self._inner.tasks(items)

    def read(self, task, selected=select_all):
        raise DataError("shelf/book.zip: changed while it was being prepared")


def assert_the_input_is_blamed(tmp_path, options):
    with pytest.raises(DataError) as caught:
        prepare(ChangedSource(), tmp_path / "set", name="changed", beam_options=options)
    assert str(caught.value) == "shelf/book.zip: changed while it was being prepared"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.engine
def test_a_portable_engine_hands_back_what_a_worker_found_wrong(tmp_path, job_service):
    options = [f"--job_endpoint={job_service}", "--environment_type=LOOPBACK"]
    assert_the_input_is_blamed(tmp_path, ["--runner=PortableRunner", *options])


@pytest.mark.engine
def test_prism_hands_back_what_a_worker_found_wrong(tmp_path, prism, worker_processes):
    assert_the_input_is_blamed(tmp_path, prism)
    assert_the_input_is_blamed(tmp_path, [*prism, worker_processes])


@pytest.mark.engine
def test_dask_hands_back_what_a_worker_found_wrong(tmp_path, dask_cluster):
    assert_the_input_is_blamed(tmp_path, ["--runner=DaskRunner", *dask_cluster])


@pytest.mark.engine
def test_flink_hands_back_what_a_worker_found_wrong(tmp_path, flink):
    assert_the_input_is_blamed(tmp_path, flink)


IN_A_WORKER = """
import pickle, sys

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        tasks, scanned, resolved, written = pickle.load(file)
    parts = [part for task in tasks for part in scanned(task)]
    assert parts == [("parts", task) for task in tasks]
    for name, shard_range in resolved(("parts", tasks)):
        assert list(written((name, [shard_range]))) == []

allowed = (
    "twofold.components.data",
    "twofold.components.errors",
    "twofold.components.files",
    "twofold.components.settings",
    # Which import what a setting names as module:name.
    "twofold.components.own_code",
    "twofold.components.named_objects",
    "twofold.components.name_lists",
    "twofold.components.keyed_random",
    "twofold.components.distribute",
    "twofold.components.path_schemes",
    "twofold.components.write_errors",
)
for name in sorted(sys.modules):
    house, _, rest = name.partition(".")
    if house in ("tensorflow", "tensorflow_datasets", "keras", "apache_beam", "matplotlib"):
        print(name)
    if house == "twofold" and name not in ("twofold", "twofold.components"):
        if not any(name == each or name.startswith(f"{each}.") for each in allowed):
            print(name)
"""


def test_workers_load_no_model_code_and_no_tensorflow(tmp_path, sources):
    sent = []
    for name, build in sources.items():
        if name.startswith("tfds"):
            # Its own reader is TensorFlow's.
            continue
        folder = tmp_path / name
        staging = StagingArea(str(folder), build(), PrepareSettings())
        for each in ("tasks", "parts", "shards"):
            files.make_directory(staging.folder(each))
        tasks = []
        for number, task in enumerate(staging.source.tasks(256)):
            tasks.append(f"{number:06d}")
            files.write_bytes(staging.path("tasks", tasks[-1]), task)
        stages = (
            functools.partial(scan, staging=staging),
            functools.partial(resolve, staging=staging, parts=tuple(tasks)),
            functools.partial(write_shard, staging=staging, parts=tuple(tasks)),
        )
        sent.append(tmp_path / f"{name}.pickle")
        sent[-1].write_bytes(pickle.dumps((tasks, *stages)))
    command = [sys.executable, "-c", IN_A_WORKER, *map(str, sent)]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, cwd=REPOSITORY)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    assert len(sent) >= 6
    assert all(list((tmp_path / path.stem / "shards").glob("*.tfrecord")) for path in sent)


@pytest.mark.parametrize("kind", ["folder-directory", "listing-csv", "tfrecord", "npz", "dsprites"])
def test_a_source_travels_to_workers_without_its_listing(sources, kind):
    source = sources[kind]()
    before = len(pickler.dumps(source))
    assert source.info().items == sum(1 for task in source.tasks(7) for _ in source.read(task))
    assert len(pickler.dumps(source)) == before < 4000
