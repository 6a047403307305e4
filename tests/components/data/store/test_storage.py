"""Local files and files in a bucket answer alike."""

from pathlib import Path

import pytest

from twofold.components.data.store import storage
from twofold.components.errors import DataError


@pytest.fixture(params=["local", "bucket"])
def root(request, tmp_path):
    path = str(tmp_path / "root") if request.param == "local" else f"memory://{tmp_path.name}"
    storage.make_directory(path)
    yield path
    storage.remove_tree(path)


def test_what_is_written_is_read_whole_and_from_anywhere_in_it(root):
    path = storage.join(root, "folder", "file")
    storage.make_directory(storage.join(root, "folder"))
    storage.write_bytes(path, b"0123456789")
    assert storage.read_bytes(path) == b"0123456789"
    with storage.open_input(path) as file:
        file.seek(4)
        assert file.read(3) == b"456"
        assert file.tell() == 7
    assert storage.size(path) == 10
    assert storage.exists(path)
    assert storage.names(root) == ["folder"]
    assert storage.names(storage.join(root, "folder")) == ["file"]


def test_what_is_not_there_is_said_to_be_so(root):
    path = storage.join(root, "nothing")
    assert not storage.exists(path)
    assert storage.size(path) is None
    assert storage.names(path) == []
    storage.remove_tree(path)
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(path)


def test_a_file_that_could_not_be_finished_does_not_appear(tmp_path):
    path = str(tmp_path / "file")
    storage.write_bytes(path, b"before")

    def interrupted():
        with storage.new_file(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert storage.read_bytes(path) == b"before"
    assert storage.names(tmp_path) == ["file"]


def test_writing_again_replaces(root):
    path = storage.join(root, "file")
    storage.write_bytes(path, b"one")
    storage.write_bytes(path, b"other")
    assert storage.read_bytes(path) == b"other"


def test_a_copy_stands_beside_the_original(root):
    one, other = storage.join(root, "one"), storage.join(root, "other")
    storage.write_bytes(one, b"content")
    storage.place_copy(one, other)
    storage.place_copy(one, other)
    storage.remove_tree(one)
    assert storage.names(root) == ["other"]
    assert storage.read_bytes(other) == b"content"


def test_a_copy_travels_from_disk_to_bucket_and_back(tmp_path):
    bucket = f"memory://{tmp_path.name}"
    (tmp_path / "one").write_bytes(b"content")
    storage.place_copy(tmp_path / "one", storage.join(bucket, "two"))
    storage.place_copy(storage.join(bucket, "two"), tmp_path / "three")
    assert (tmp_path / "three").read_bytes() == b"content"
    storage.remove_tree(bucket)


def test_on_one_disk_a_copy_takes_no_room(tmp_path):
    (tmp_path / "one").write_bytes(b"content")
    storage.place_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one").stat().st_ino == (tmp_path / "two").stat().st_ino


def test_a_folder_is_removed_with_all_in_it(root):
    storage.make_directory(storage.join(root, "a", "b"))
    storage.write_bytes(storage.join(root, "a", "b", "file"), b"x")
    storage.remove_tree(storage.join(root, "a"))
    assert not storage.exists(storage.join(root, "a", "b", "file"))
    assert storage.names(root) == []


def test_local_paths_are_made_absolute_and_others_left():
    assert storage.resolve("data/x") == str(Path("data/x").absolute())
    assert storage.resolve("gs://bucket/x/") == "gs://bucket/x"
    assert storage.is_remote("gs://bucket")
    assert not storage.is_remote("C:/data")
    assert not storage.is_remote("/data://x")


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(DataError, match=r"nowhere://x.*nowhere"):
        storage.exists("nowhere://x")
