"""What a runner lacks is said before anything is read or written, and Dataflow's job is small."""

import importlib.metadata
import itertools
import re
import sys
from pathlib import Path

import pytest
from apache_beam.runners.pipeline_utils import group_by_key_input_visitor, validate_pipeline_graph
from apache_beam.transforms import environments

from twofold.components.data.preparation.beam_pipeline import build_pipeline
from twofold.components.data.preparation.engines import runners
from twofold.components.data.preparation.engines.runners import check_runner
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.preparation.staging_area import StagingArea
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[4]
BEAM_VERSION = importlib.metadata.version("apache-beam")
CLOUD = [
    *("--runner=DataflowRunner", "--project=my-project", "--region=europe-west1"),
    # Without it Beam looks at the bucket.
    *("--temp_location=gs://bucket/temp", "--dry_run=True"),
]
PACKAGES = ["--setup_file", "--requirements_file"]


@pytest.fixture
def packages(tmp_path):
    """The options by which workers elsewhere get Twofold."""
    (tmp_path / "requirements.txt").write_text("# For gs://\ngcsfs>=2025.2\n")
    files = [REPOSITORY / "setup.py", tmp_path / "requirements.txt"]
    return [f"{option}={file}" for option, file in zip(PACKAGES, files, strict=True)]


def lacking(options, source=None, output="gs://bucket/sets/one", earlier=None):
    """What is wrong with the options, each without its explanation; nothing where they will do."""
    folders = {"output folder": output, "earlier dataset": earlier}
    source = build_source("dsprites", images=5) if source is None else source
    try:
        check_runner(options, source, folders)
    except DataError as error:
        return [line.removeprefix("- ") for line in str(error).splitlines()[1:]]
    return []


@pytest.fixture
def with_google(monkeypatch):
    """As if apache-beam[gcp] were installed, which is large."""
    monkeypatch.setattr(runners, "_can_import", lambda module: True)


@pytest.fixture
def without_google(monkeypatch):
    monkeypatch.setattr(runners, "_can_import", lambda module: False)
    monkeypatch.delenv("CLOUDSDK_COMPUTE_REGION", raising=False)
    # Else Beam asks the gcloud program for a region.
    monkeypatch.setenv("PATH", "")


class UnlistedSource:
    """A source that nobody may look at."""

    def info(self):
        raise AssertionError

    def tasks(self, items):
        raise AssertionError

    def read(self, task, selected=None):
        raise AssertionError


def test_all_that_dataflow_lacks_is_said_at_once(without_google, containers, tmp_path, capfd):
    source = build_source("folder", path=containers["zip"])
    output, earlier = str(tmp_path / "set"), str(tmp_path / "earlier")
    found = lacking(["--runner=DataflowRunner"], source, output, earlier)
    assert [line.split(":")[0] for line in found] == [
        "Google Cloud's libraries",
        "--project",
        "--region",
        "--temp_location",
        "--setup_file",
        "--requirements_file",
        f"output folder {output}",
        f"earlier dataset {earlier}",
        f"source {containers['zip']}",
    ]
    assert "pip install 'twofold[gcp]'" in found[0]
    assert all("give" in line or "install" in line for line in found)
    assert capfd.readouterr() == ("", "")


def test_dataflow_is_refused_before_anything_is_listed_or_written(tmp_path):
    with pytest.raises(DataError, match="DataflowRunner cannot run this"):
        prepare(
            UnlistedSource(), tmp_path / "set", name="x", beam_options=["--runner=DataflowRunner"]
        )
    assert list(tmp_path.iterdir()) == []


def test_dataflow_with_all_it_needs_is_accepted(with_google, packages):
    assert lacking([*CLOUD, *packages]) == []
    image = "--sdk_container_image=europe-docker.pkg.dev/my-project/twofold"
    assert lacking([*CLOUD, image]) == []
    staging = [option.replace("temp_location", "staging_location") for option in CLOUD]
    assert lacking([*staging, image]) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--temp_location=/tmp/x", "--temp_location: .*gs://BUCKET/FOLDER, received /tmp/x"),
        ("--temp_location=gs://b", "--temp_location: .* received gs://b"),
        ("--staging_location=s3://b/x", "--staging_location: .* received s3://b/x"),
        ("--setup_file=pyproject.toml", "--setup_file: .*setup.py, received pyproject.toml"),
        ("--setup_file=gone/setup.py", "--setup_file: .*setup.py, received gone/setup.py"),
        ("--requirements_file=gone.txt", "--requirements_file: .*gcsfs.*received gone.txt"),
        ("--project=1234", "Invalid Project ID"),
        ("--job_name=My_Job", "Invalid job_name"),
        ("--max_num_workers=0", "Value needs to be positive"),
    ],
)
def test_what_is_given_wrong_is_named(with_google, packages, option, said):
    (found,) = lacking([*CLOUD, *packages, option])
    assert re.search(said, found), found


def test_local_files_are_found_in_whatever_source(sources, tmp_path, with_google, packages):
    for name, build in sources.items():
        found = lacking([*CLOUD, *packages], build())
        # Only dSprites are drawn.
        assert [line.startswith("source /") for line in found] == [True] * (name != "dsprites")


def test_what_only_this_machine_has_is_no_bucket(with_google, packages):
    for path in ("memory://sets/one", "file:///sets/one", "/sets/one"):
        (found,) = lacking([*CLOUD, *packages], output=path)
        assert found.startswith(f"output folder {path}: give one in a bucket")
    assert lacking([*CLOUD, *packages], output="s3://bucket/one") == []


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        ([], False),
        (["--runner=FnApiRunner", "--direct_running_mode=multi_processing"], False),
        (["--runner=PrismRunner"], False),
        (["--runner=FlinkRunner"], False),
        (["--runner=FlinkRunner", "--flink_master=[local]"], False),
        (["--runner=FlinkRunner", "--flink_master=cluster:8081"], True),
        (["--runner=SparkRunner"], False),
        (["--runner=SparkRunner", "--spark_master_url=spark://cluster:7077"], True),
        (["--runner=PortableRunner", "--job_endpoint=localhost:1"], True),
        (["--runner=PrismRunner", "--environment_type=DOCKER"], True),
        (["--runner=FlinkRunner", "--environment_type=LOOPBACK", "--flink_master=x:1"], False),
        (
            [
                *("--runner=FlinkRunner", "--flink_master=x:1", "--environment_type=PROCESS"),
                "--environment_option=process_command=/opt/boot",
            ],
            False,
        ),
    ],
)
def test_only_workers_that_see_no_local_files_are_refused_them(tmp_path, options, refused):
    found = lacking(options, output=str(tmp_path / "set"))
    assert [line.split(":")[0].split(" ")[0] for line in found] == [
        *("--setup_file", "--requirements_file", "output")
    ] * refused


def test_what_a_portable_engine_needs_is_said():
    found = lacking(["--runner=PortableRunner", "--environment_type=LOOPBACK"])
    assert [line.split(":")[0] for line in found] == ["--job_endpoint"]
    (found,) = lacking(["--runner=FlinkRunner", "--environment_type=PROCESS"])
    assert "process_command" in found


@pytest.mark.parametrize("name", ["DaskRunner", "dask", "daskrunner"])
def test_dask_is_known_by_its_name_and_so_are_its_options(name, tmp_path):
    pytest.importorskip("distributed")
    assert lacking([f"--runner={name}"], output=str(tmp_path / "set")) == []
    address = "--dask_client_address=tcp://scheduler:8786"
    assert lacking([f"--runner={name}", address], output=str(tmp_path / "set")) == []


def test_without_dask_its_runner_is_refused_with_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DataError) as caught:
        check_runner(["--runner=DaskRunner"], build_source("dsprites", images=5), {})
    assert str(caught.value) == (
        "DaskRunner needs the package distributed; install it with: pip install 'twofold[dask]'"
    )


def test_a_mistyped_address_starts_no_other_cluster():
    pytest.importorskip("distributed")
    options = ["--runner=DaskRunner", "--dask_client_adress=tcp://scheduler:8786"]
    with pytest.raises(DataError, match="unknown Beam options: --dask_client_adress"):
        check_runner(options, build_source("dsprites", images=5), {})


def cloud_staging_area(images):
    """A staging area in a bucket and the names of its tasks, as `prepare` would cut them."""
    source = build_source("dsprites", images=images)
    items = min(max(-(-images // 128), 256), 8192)
    names = [f"{number:06d}" for number, _ in enumerate(source.tasks(items))]
    return StagingArea("gs://bucket/sets/.tmp-one", source, PrepareSettings()), names


def job_graph(images, times=1):
    """The description of the job, as Dataflow would get it, without an image of the workers.

    That is of the images' tasks, as if each had so many times the images.
    """
    area, tasks = cloud_staging_area(images)
    pipeline = build_pipeline(area, tasks, CLOUD, times * images)
    pipeline.visit(group_by_key_input_visitor(deterministic_key_coders=True))
    image = environments.DockerEnvironment.from_container_image("image")
    proto = pipeline.to_runner_api(default_environment=image)
    validate_pipeline_graph(proto)
    return proto


SEARCH = ("Cut", "Parts", "Spread", "Equal ones", "Collapse", "Bands", "Compare", "All found")


@pytest.mark.parametrize(("times", "search"), [(1, ()), (4000, SEARCH)])
def test_the_job_for_dataflow_is_one_line_of_steps(times, search):
    proto = job_graph(500, times)
    transforms = proto.components.transforms
    (root,) = proto.root_transform_ids
    steps = [transforms[each] for each in transforms[root].subtransforms]
    assert [step.unique_name for step in steps] == [
        *("Tasks", "Scan", "All parts", *search, "Resolve", "Shards", "Write")
    ]
    assert not steps[0].inputs
    for before, after in itertools.pairwise(steps):
        assert list(after.inputs.values()) == list(before.outputs.values())
        assert len(before.outputs) == 1


def test_the_job_for_dataflow_is_small_however_many_the_images():
    for times in (1, 100):
        few, many = (
            len(job_graph(images, times).SerializeToString()) for images in (40_000, 700_000)
        )
        assert abs(few - many) < 300
        assert many < 100_000


def test_dataflows_own_client_describes_the_job():
    apiclient = pytest.importorskip(
        "apache_beam.runners.dataflow.internal.apiclient",
        reason="apache-beam[gcp] is not installed",
        exc_type=ImportError,
    )
    area, tasks = cloud_staging_area(40_000)
    pipeline = build_pipeline(area, tasks, CLOUD)
    job = pipeline.run().job
    assert len(job.proto_pipeline.SerializeToString()) < 100_000
    environment = apiclient.Environment(
        packages=[],
        options=job.options,
        environment_version="8",
        proto_pipeline_staged_url="gs://bucket/temp/pipeline.pb",
        proto_pipeline=job.proto_pipeline,
    ).proto
    (pool,) = environment.worker_pools
    (image,) = pool.sdk_harness_container_images
    assert BEAM_VERSION in image.container_image
    assert environment.temp_storage_prefix.startswith("storage.googleapis.com/bucket/temp/")
    staged = {
        artifact.role_payload.decode()
        for each in job.proto_pipeline.components.environments.values()
        for artifact in each.dependencies
    }
    assert not any("pickled_main_session" in name for name in staged)
    assert job.google_cloud_options.project == "my-project"


def test_an_unknown_runner_is_told_of_all_that_are_known():
    with pytest.raises(DataError, match=r"DaskRuner\. Valid values are DaskRunner, .*PrismRunner"):
        check_runner(["--runner=DaskRuner"], UnlistedSource(), {})
