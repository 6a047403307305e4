"""In a bucket a data set comes to the same bytes, and to be refused and resumed, as on a disk.

Buckets are fsspec's file system in memory, and Google Cloud Storage as an emulator serves it to
gcsfs, in a process of its own, so that several workers can share it.
"""

import contextlib
import csv
import hashlib
import socket
import subprocess
import sys
import time

import pytest

from twofold.components import files
from twofold.components.data.preparation import scan
from twofold.components.data.preparation.prepare_dataset import prepare
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources import build_source
from twofold.components.data.sources.dsprites import DspritesSource
from twofold.components.data.store.manifest import load_manifest
from twofold.components.data.verification.verify_dataset import verify_dataset
from twofold.components.errors import DataError
from twofold.components.pages.dataset_page import render_report

SMALL = PrepareSettings(images_per_shard=150)
BUCKET = "gs://shelf"
# Many readers ask at once; of more than five the emulator would let some wait for a second.
EMULATOR = """
import http.server, sys
from gcp_storage_emulator.__main__ import main
http.server.HTTPServer.request_queue_size = 128
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def emulator():
    """An emulated Google Cloud Storage with one bucket, for this process and those it starts."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    address = ["--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=shelf"]
    server = subprocess.Popen(
        [sys.executable, "-c", EMULATOR, "start", *address],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        # Else gcsfs asks Google what kind of bucket it is.
        patched.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        try:
            for _ in range(600):
                assert server.poll() is None, "the emulator ended"
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.1)
            yield BUCKET
        finally:
            server.kill()
            server.wait()


@pytest.fixture(params=["memory", "emulator"])
def bucket(request, tmp_path):
    """A folder of its own in a bucket."""
    root = "memory://shelf" if request.param == "memory" else request.getfixturevalue("emulator")
    path = f"{root}/{tmp_path.name}"
    yield path
    files.remove_tree(path)


def contents(directory):
    """The sha256 of each file in a folder or bucket."""
    return {
        name: hashlib.sha256(files.read_bytes(files.join(directory, name))).hexdigest()
        for name in files.names(directory)
    }


def upload(path, folder):
    """Copies a file or folder into a folder of a bucket; gives its path there."""
    target = files.join(folder, path.name)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            below = file.relative_to(path).parts if file != path else ()
            files.write_bytes(files.join(target, *below), file.read_bytes())
    return target


def sprites(directory, **options):
    source = build_source("dsprites", images=500)
    return prepare(
        source, directory, name="small", settings=SMALL, render_page=render_report, **options
    )


def refuse(*given):
    raise AssertionError(given)


def test_a_dataset_in_a_bucket_holds_the_same_bytes(bucket, prepared, digests, monkeypatch):
    target = f"{bucket}/set"
    assert sprites(target) == load_manifest(prepared)
    assert contents(target) == digests(prepared)
    assert files.names(bucket) == ["set"]
    assert verify_dataset(target) == []
    # Once it is there, nothing is done.
    monkeypatch.setattr(files, "new_file", refuse)
    monkeypatch.setattr(files, "link_or_copy", refuse)
    assert sprites(target) == load_manifest(prepared)


def test_a_bucket_that_holds_something_else_is_refused(bucket):
    prepare(build_source("dsprites", images=20), f"{bucket}/set", name="small")
    other = build_source("dsprites", images=10)
    with pytest.raises(DataError, match="holds another dataset"):
        prepare(other, f"{bucket}/set", name="other")
    files.write_bytes(f"{bucket}/notes/mine.txt", b"mine")
    with pytest.raises(DataError, match="exists and is no prepared dataset"):
        prepare(other, f"{bucket}/notes", name="other")
    assert files.names(bucket) == ["notes", "set"]
    assert files.names(f"{bucket}/notes") == ["mine.txt"]


@pytest.mark.parametrize(
    ("bucket", "placed"),
    [("memory", 0), ("memory", 4), ("memory", 10), ("emulator", 4)],
    indirect=["bucket"],
)
def test_a_publication_that_was_interrupted_is_resumed(
    bucket, prepared, digests, monkeypatch, placed
):
    target = f"{bucket}/set"
    place_copy = files.link_or_copy

    def interrupted(source, path):
        if path.startswith(f"{target}/") and len(files.names(target)) == placed:
            raise KeyboardInterrupt
        place_copy(source, path)

    with monkeypatch.context() as patched:
        patched.setattr(files, "link_or_copy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sprites(target)
    assert len(files.names(target)) == placed
    assert not files.exists(f"{target}/manifest.json")
    with pytest.raises(DataError, match=r"no prepared dataset|no such dataset"):
        load_manifest(target)

    monkeypatch.setattr(scan, "_make_part", refuse)
    sprites(target)
    assert contents(target) == digests(prepared)
    assert files.names(bucket) == ["set"]


def test_what_fails_in_a_bucket_leaves_nothing(bucket):
    class Failing(DspritesSource):
        def read(self, task, selected=None):
            raise OSError("disk gone")

    with pytest.raises(Exception, match="disk gone"):
        prepare(Failing(images=300), f"{bucket}/set", name="failing")
    assert files.names(bucket) == []


def give_up_half_way(path):
    with files.new_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_a_file_that_could_not_be_finished_does_not_appear_in_a_bucket(bucket):
    path = files.join(bucket, "file")
    with pytest.raises(ZeroDivisionError):
        give_up_half_way(path)
    assert not files.exists(path)
    files.write_bytes(path, b"before")
    with pytest.raises(ZeroDivisionError):
        give_up_half_way(path)
    assert files.read_bytes(path) == b"before"


# aiohttp's advice to gcsfs.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
def test_a_file_that_takes_several_requests_arrives_whole(emulator):
    path, content = f"{emulator}/large/file", bytes(range(256)) * (6 << 12)
    files.write_bytes(path, content)
    assert files.size(path) == len(content) == 6 << 20
    assert files.read_bytes(path) == content
    files.link_or_copy(path, f"{path} again")
    with files.open_input(f"{path} again") as file:
        file.seek((5 << 20) + 7)
        assert file.read(3) == b"\x07\x08\x09"
    files.remove_tree(f"{emulator}/large")


def test_small_reads_in_order_take_few_requests(emulator, monkeypatch):
    from gcsfs.core import GCSFileSystem

    path, content = f"{emulator}/small/file", bytes(range(250)) * 4000
    files.write_bytes(path, content)
    asked, call = [], GCSFileSystem._call

    async def counted(*given, **options):
        asked.append(given[2])
        return await call(*given, **options)

    monkeypatch.setattr(GCSFileSystem, "_call", counted)
    with files.open_input(path) as file:
        for start in range(0, len(content), 500):
            file.seek(start)
            assert file.read(250) == bytes(range(250))
    assert 1 <= len(asked) <= 4
    asked.clear()
    assert files.read_range(path, 10, 13) == b"\x0a\x0b\x0c"
    assert files.read_bytes(path) == content
    assert len(asked) == 2


def test_what_another_process_writes_is_seen(emulator):
    folder = f"{emulator}/seen"
    files.write_bytes(f"{folder}/one", b"1")
    assert files.names(folder) == ["one"]
    assert not files.exists(f"{folder}/other")
    code = "import sys\nfrom twofold.components import files\nfiles.write_bytes(sys.argv[1], b'2')"
    subprocess.run([sys.executable, "-c", code, f"{folder}/other"], check=True)
    assert files.names(folder) == ["one", "other"]
    assert files.exists(f"{folder}/other")
    assert files.size(f"{folder}/other") == 1


def test_a_folder_whose_name_looks_like_a_pattern_is_removed_alone(bucket):
    for name in ("a[1]", "a1", "a*", "ab"):
        files.write_bytes(f"{bucket}/{name}/file", b"x")
    files.remove_tree(f"{bucket}/a[1]")
    files.remove_tree(f"{bucket}/a*")
    assert files.exists(f"{bucket}/a1/file")
    assert files.exists(f"{bucket}/ab/file")
    assert not files.exists(f"{bucket}/a[1]/file")
    assert not files.exists(f"{bucket}/a*/file")


def test_an_earlier_dataset_in_a_bucket_saves_work_and_changes_nothing(bucket, tmp_path, digests):
    sprites(f"{bucket}/earlier")
    grown = build_source("dsprites", images=560)
    prepare(grown, tmp_path / "alone", name="grown", settings=SMALL)
    earlier = f"{bucket}/earlier"
    prepare(grown, f"{bucket}/set", name="grown", settings=SMALL, previous=earlier)
    assert contents(f"{bucket}/set") == digests(tmp_path / "alone")


@pytest.fixture(scope="module")
def uploaded(emulator, containers, listings, record_files, tmp_path_factory):
    """Kind -> the settings of the same source on disk, and in the emulated bucket."""
    root = f"{emulator}/sources"
    local = {
        kind: ("folder", {"path": containers[kind]})
        for kind in ("directory", "zip", "tar", "tar.gz")
    }
    remote = {kind: ("folder", {"path": upload(containers[kind], root)}) for kind in local}
    images = remote["directory"][1]["path"]
    for kind, path in listings.items():
        local[kind] = ("listing", {"path": path, "root": containers["directory"]})
        remote[kind] = ("listing", {"path": upload(path, root), "root": images})
    # A local table of files in the bucket.
    with listings["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    absolute = tmp_path_factory.mktemp("absolute") / "images.csv"
    with absolute.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["key", *rows[0]])
        writer.writeheader()
        for row in rows:
            writer.writerow({**row, "key": row["path"], "path": f"{images}/{row['path']}"})
    local["absolute"], remote["absolute"] = local["csv"], ("listing", {"path": absolute})
    records = record_files["tfrecord"].parent
    local["tfrecord"] = ("tfrecord", {"path": records / "*"})
    remote["tfrecord"] = ("tfrecord", {"path": f"{upload(records, root)}/*"})
    return local, remote


KINDS = ["directory", "zip", "tar", "tar.gz", "csv", "parquet", "absolute", "tfrecord"]


def shards(files):
    return {name: digest for name, digest in files.items() if name.endswith(".tfrecord")}


@pytest.mark.parametrize("kind", KINDS)
def test_images_come_out_of_a_bucket_as_they_come_off_a_disk(uploaded, tmp_path, digests, kind):
    found = []
    for number, described in enumerate((uploaded[0][kind], uploaded[1][kind])):
        directory = tmp_path / str(number)
        source = build_source(described[0], **described[1])
        settings = PrepareSettings(images_per_shard=20)
        manifest = prepare(source, directory, name="files", settings=settings)
        # What tells contents apart is not the same on disks and in buckets, and is recorded.
        found.append((manifest.counts, manifest.splits, shards(digests(directory))))
    assert found[0] == found[1]
    assert found[0][0].written == 60


def test_two_worker_processes_share_a_bucket(uploaded, emulator, tmp_path, digests):
    kind, given = uploaded[1]["directory"]
    settings = PrepareSettings(images_per_shard=20)
    prepare(build_source(kind, **given), tmp_path / "set", name="files", settings=settings)
    options = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    target = f"{emulator}/{tmp_path.name}/set"
    source = build_source(kind, **given)
    prepare(source, target, name="files", settings=settings, beam_options=options)
    assert contents(target) == digests(tmp_path / "set")
    assert files.names(f"{emulator}/{tmp_path.name}") == ["set"]


def test_a_dataset_moves_between_bucket_and_disk(bucket, prepared, tmp_path, digests):
    there = upload(prepared, bucket)
    assert load_manifest(there) == load_manifest(prepared)
    for name in files.names(there):
        files.link_or_copy(files.join(there, name), tmp_path / name)
    assert digests(tmp_path) == digests(prepared)
