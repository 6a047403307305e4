"""Folders and archives of images: which files are read, in what order, and how they change."""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import fsspec
import pytest

from tests.components.data.sources.source_items import items_by_key
from twofold.components.data.sources import build_source
from twofold.components.data.sources.access import file_listing as files
from twofold.components.errors import DataError


def nothing(key, content_id):
    return False


def test_every_container_of_the_same_files_reads_the_same(containers, class_files):
    for path in containers.values():
        source = build_source("folder", path=path)
        items = items_by_key(source)
        assert {key: item.image for key, item in items.items()} == class_files
        assert source.info().class_names == ("cat", "dog", "frog")
        assert items["dog/001.jpg"].label == 1
        assert items["dog/001.jpg"].split is None


def test_a_group_is_found_in_the_key(tmp_path, write_files):
    keys = ["cat/ann_1.jpg", "dog/ann_2.jpg", "dog/bob_1.jpg", "dog/3.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    source = build_source("folder", path=tmp_path, group_pattern=r"/(\w+)_")
    groups = {key: item.group for key, item in items_by_key(source).items()}
    assert groups == dict(zip(keys, ["ann", "ann", "bob", None], strict=True))
    assert source.info().fingerprint != build_source("folder", path=tmp_path).info().fingerprint


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"group_pattern: '\(' is no regular expression \(missing \)"),
        ("a", r"group_pattern: expected .* with one group.* received 'a' with 0"),
        ("(a)(b)", "with 2"),
    ],
)
def test_a_bad_group_pattern_is_refused(tmp_path, pattern, message):
    with pytest.raises(DataError, match=message):
        build_source("folder", path=tmp_path, group_pattern=pattern)


def test_other_files_are_counted_and_ignored(tmp_path, write_files, image_bytes):
    image = image_bytes(0)
    hidden = [".hidden/1.jpg", "a/.thumb.jpg", "__MACOSX/a/1.jpg"]
    write_files(tmp_path, dict.fromkeys(["a/1.jpg", *hidden], image) | {"a/readme.txt": b"Hello"})
    source = build_source("folder", path=tmp_path)
    assert list(items_by_key(source)) == ["a/1.jpg"]
    assert source.info().ignored == 4


def test_the_fingerprint_follows_the_files_and_not_their_place(tmp_path, write_files, image_bytes):
    first = write_files(tmp_path / "first", {"a/1.jpg": image_bytes(0), "b/1.jpg": image_bytes(1)})
    second = shutil.copytree(first, tmp_path / "second")
    fingerprint = build_source("folder", path=first).info().fingerprint
    assert build_source("folder", path=second).info().fingerprint == fingerprint
    os.utime(second / "a/1.jpg", ns=(0, 0))
    assert build_source("folder", path=second).info().fingerprint != fingerprint


def test_symbolic_links_are_followed_once(tmp_path, write_files, image_bytes):
    write_files(tmp_path / "real", {"1.jpg": image_bytes(0)})
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to(tmp_path / "real")
    (root / "a" / "loop").symlink_to(root)
    assert list(items_by_key(build_source("folder", path=root))) == ["a/1.jpg"]


def test_an_image_that_is_a_link_to_nothing_is_an_item_with_a_problem(tmp_path, write_files):
    write_files(tmp_path, {"cat/1.jpg": b"1"})
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog/1.jpg").symlink_to("/gone/1.jpg")
    (tmp_path / "dog/2.jpg").symlink_to("2.jpg")
    os.mkfifo(tmp_path / "dog/3.jpg")
    source = build_source("folder", path=tmp_path)
    problems = {key: item.problem for key, item in items_by_key(source).items()}
    assert problems == {
        "cat/1.jpg": None,
        "dog/1.jpg": "it is a link to /gone/1.jpg, which is not there",
        "dog/2.jpg": "it is a link to 2.jpg, which leads back to it",
        "dog/3.jpg": "it is neither a file nor a folder",
    }
    assert source.info().class_names == ("cat", "dog")


def test_other_links_to_nothing_are_counted_and_ignored(tmp_path, write_files):
    write_files(tmp_path, {"cat/1.jpg": b"1"})
    (tmp_path / "cat/notes.txt").symlink_to("notes.txt")
    (tmp_path / "gone").symlink_to("/gone")
    os.mkfifo(tmp_path / "cat/pipe")
    (tmp_path / "cat/.#lock").symlink_to("ann@house.4711")
    source = build_source("folder", path=tmp_path)
    assert list(items_by_key(source)) == ["cat/1.jpg"]
    assert source.info().skipped == {"broken links": 3, "hidden": 1}


def test_a_name_that_is_no_unicode_still_gets_a_key(tmp_path, image_bytes):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(image_bytes(0))
    assert list(items_by_key(build_source("folder", path=tmp_path))) == ["caf\\xe9.jpg"]


@pytest.mark.parametrize("kind", ["directory", "zip", "tar", "tar.gz"])
def test_a_folder_may_lie_in_a_bucket(containers, class_files, to_bucket, kind):
    path = to_bucket(containers[kind], "test-folder")
    assert path.startswith("memory://")
    source = build_source("folder", path=path)
    local = build_source("folder", path=containers[kind])
    assert {key: item.image for key, item in items_by_key(source).items()} == class_files
    assert list(items_by_key(source)) == list(items_by_key(local))
    assert source.info().class_names == ("cat", "dog", "frog")
    assert build_source("folder", path=f"{path}/").info() == source.info()


def test_an_empty_file_in_a_bucket_is_skipped(to_bucket, tmp_path, write_files, monkeypatch):
    write_files(tmp_path / "files", {"a.jpg": b"1", "_SUCCESS": b"", "notes": b"x"})
    path = to_bucket(tmp_path / "files", "test-empty")
    memory = type(fsspec.filesystem("memory"))
    whole = memory.cat_file

    def cat_file(self, name, start=None, end=None):
        # Cloud Storage answers 416 where a range holds nothing, which gcsfs raises as its own.
        if start is not None and not self.info(name)["size"]:
            raise RuntimeError("416, requested range not satisfiable")
        return whole(self, name, start=start, end=end)

    monkeypatch.setattr(memory, "cat_file", cat_file)
    source = build_source("folder", path=path)
    assert list(items_by_key(source)) == ["a.jpg"]
    assert source.info().skipped == {"without an extension": 2}


def test_a_file_that_changes_in_a_bucket_changes_its_identity_alone(to_bucket, tmp_path):
    (tmp_path / "files").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "files" / name).write_bytes(b"1")
    path = to_bucket(tmp_path / "files", "test-change")
    before = content_ids(path)
    assert content_ids(path) == before
    fsspec.filesystem("memory").pipe_file("/test-change/files/a.jpg", b"2")
    assert changed(before, content_ids(path)) == ["a.jpg"]


def test_a_checksum_tells_contents_apart_before_a_time_does(monkeypatch):
    def listed(**marks):
        class Bucket:
            def ls(self, folder, detail):
                return [{"name": "bucket/a.jpg", "type": "file", "size": 1, **marks}]

        monkeypatch.setattr(
            "twofold.components.files.file_system", lambda path: (Bucket(), "bucket/")
        )
        return list(files.walk("gs://bucket"))

    assert listed(md5Hash="abc", mtime=1) == listed(md5Hash="abc", mtime=2)
    assert listed(md5Hash="abc", mtime=1) != listed(md5Hash="abd", mtime=1)
    assert listed(mtime=1) != listed(mtime=2)


def test_what_is_not_in_a_bucket_is_named():
    with pytest.raises(DataError, match="no such file or folder: memory://nowhere/x"):
        build_source("folder", path="memory://nowhere/x")
    with pytest.raises(DataError, match=r"nothing://x/y"):
        build_source("folder", path="nothing://x/y")


@pytest.mark.parametrize("kind", ["directory", "zip", "tar", "tar.gz"])
def test_what_is_not_wanted_is_not_read(tmp_path, containers, kind):
    path = tmp_path / f"images.{kind}"
    (shutil.copytree if kind == "directory" else shutil.copy)(containers[kind], path)
    source = build_source("folder", path=path)
    tasks = list(source.tasks(25))
    items = [item for task in tasks for item in source.read(task, nothing)]
    (shutil.rmtree if kind == "directory" else os.unlink)(path)
    again = [item for task in tasks for item in source.read(task, nothing)]
    assert again == items
    assert len(items) == 60
    assert {(item.image, item.problem) for item in items} == {(b"", None)}


def test_a_directory_is_read_in_sorted_order(tmp_path, write_files):
    keys = ["b.jpg", "c/2.jpg", "c/10.jpg", "a/1.jpg", "d.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    expected = ["a/1.jpg", "b.jpg", "c/10.jpg", "c/2.jpg", "d.jpg"]
    assert list(items_by_key(build_source("folder", path=tmp_path))) == expected


def test_many_files_in_one_folder_come_in_the_same_order(tmp_path, write_files, monkeypatch):
    names = [f"{i:03d}.jpg" for i in range(60)]
    write_files(tmp_path, dict.fromkeys([*names, "030/x.jpg"], b""))
    expected = [*names[:30], "030/x.jpg", *names[30:]]
    assert list(items_by_key(build_source("folder", path=tmp_path))) == expected
    monkeypatch.setattr("twofold.components.data.sources.access.file_listing._FEW_ENTRIES", 7)
    assert list(items_by_key(build_source("folder", path=tmp_path))) == expected


def content_ids(path):
    source = build_source("folder", path=path)
    return {item.key: item.content_id for task in source.tasks(9) for item in source.read(task)}


def changed(first, second):
    return [key for key in first if first[key] != second[key]]


def test_a_file_that_changes_changes_its_identity_alone(tmp_path, write_files):
    write_files(tmp_path, {"a.jpg": b"1", "b.jpg": b"2"})
    os.utime(tmp_path / "a.jpg", ns=(0, 0))
    before = content_ids(tmp_path)
    assert content_ids(tmp_path) == before
    write_files(tmp_path, {"a.jpg": b"3"})
    assert changed(before, content_ids(tmp_path)) == ["a.jpg"]


def test_a_file_that_changes_while_it_is_prepared_cannot_be_read(tmp_path, write_files):
    write_files(tmp_path, {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"})
    source = build_source("folder", path=tmp_path)
    tasks = list(source.tasks(10))
    write_files(tmp_path, {"a.jpg": b"longer"})
    (tmp_path / "b.jpg").unlink()
    items = [item for task in tasks for item in source.read(task)]
    assert [item.image for item in items] == [b"", b"", b"3"]
    assert items[0].problem == "the file has changed since it was listed"
    assert "No such file" in (items[1].problem or "")


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_listing_and_an_unpacked_archive_have_no_name_that_a_kill_could_leave(
    containers, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = open_files()
    source = build_source("folder", path=containers["tar.gz"])
    tasks = source.tasks(7)
    first = next(tasks)
    assert len(list(source.read(first))) == 7
    assert list(tmp_path.iterdir()) == []
    del source
    assert len([first, *tasks]) == 9
    del tasks
    gc.collect()
    assert open_files() <= before + 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match=f"no such file or folder: {tmp_path}/nowhere"):
        build_source("folder", path=tmp_path / "nowhere")


def test_a_folder_without_images_is_refused(tmp_path, write_files):
    write_files(tmp_path, {"notes.txt": b"x"})
    source = build_source("folder", path=tmp_path)
    with pytest.raises(DataError, match=r"no images in it; expected JPEG.*found 1 other files"):
        source.info()


def test_archives_in_a_folder_are_said_to_be_paths_of_their_own(tmp_path, write_files):
    write_files(tmp_path, {"pets/test.zip": b"PK", "more/a.jpg": b"1", "more/test.tar": b""})
    with pytest.raises(DataError, match=r"1 other files; archives.*\.zip.* name them in data.path"):
        build_source("folder", path=tmp_path / "pets").info()
    *_, line = build_source("folder", path=tmp_path / "more").info().taken_as
    assert line == (
        "skipped 1 file that is no image: 1 .tar; archives in a folder (.tar) are not opened: "
        "name them in data.path"
    )


def test_no_path_at_all_is_refused():
    with pytest.raises(DataError, match="at least one path"):
        build_source("folder", path=[])


def test_the_same_key_twice_is_refused(tmp_path, write_files, image_bytes):
    for name in ("one", "two"):
        write_files(tmp_path / name, {"cat/1.jpg": image_bytes(0)})
    with pytest.raises(DataError, match=r"2 images have the key 'cat/1\.jpg'"):
        build_source("folder", path=[tmp_path / "one", tmp_path / "two"]).info()
