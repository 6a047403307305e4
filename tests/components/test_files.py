"""Local files and files in a bucket answer alike."""

from pathlib import Path

import pytest

from twofold.components import files
from twofold.components.errors import DataError


@pytest.fixture(params=["local", "bucket"])
def root(request, tmp_path):
    path = str(tmp_path / "root") if request.param == "local" else f"memory://{tmp_path.name}"
    files.make_directory(path)
    yield path
    files.remove_tree(path)


def test_what_is_written_is_read_whole_and_from_anywhere_in_it(root):
    path = files.join(root, "folder", "file")
    files.make_directory(files.join(root, "folder"))
    files.write_bytes(path, b"0123456789")
    assert files.read_bytes(path) == b"0123456789"
    with files.open_input(path) as file:
        file.seek(4)
        assert file.read(3) == b"456"
        assert file.tell() == 7
    assert files.size(path) == 10
    assert files.exists(path)
    assert files.names(root) == ["folder"]
    assert files.names(files.join(root, "folder")) == ["file"]


def test_what_is_not_there_is_said_to_be_so(root):
    path = files.join(root, "nothing")
    assert not files.exists(path)
    assert files.size(path) is None
    assert files.names(path) == []
    files.remove_tree(path)
    with pytest.raises(FileNotFoundError):
        files.read_bytes(path)


def test_a_file_that_could_not_be_finished_does_not_appear(tmp_path):
    path = str(tmp_path / "file")
    files.write_bytes(path, b"before")

    def interrupted():
        with files.new_file(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert files.read_bytes(path) == b"before"
    assert files.names(tmp_path) == ["file"]


def test_writing_again_replaces(root):
    path = files.join(root, "file")
    files.write_bytes(path, b"one")
    files.write_bytes(path, b"other")
    assert files.read_bytes(path) == b"other"


def test_a_copy_stands_beside_the_original(root):
    one, other = files.join(root, "one"), files.join(root, "other")
    files.write_bytes(one, b"content")
    files.link_or_copy(one, other)
    files.link_or_copy(one, other)
    files.remove_tree(one)
    assert files.names(root) == ["other"]
    assert files.read_bytes(other) == b"content"


def test_a_copy_travels_from_disk_to_bucket_and_back(tmp_path):
    bucket = f"memory://{tmp_path.name}"
    (tmp_path / "one").write_bytes(b"content")
    files.link_or_copy(tmp_path / "one", files.join(bucket, "two"))
    files.link_or_copy(files.join(bucket, "two"), tmp_path / "three")
    assert (tmp_path / "three").read_bytes() == b"content"
    files.remove_tree(bucket)


def test_on_one_disk_a_copy_takes_no_room(tmp_path):
    (tmp_path / "one").write_bytes(b"content")
    files.link_or_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "one").stat().st_ino == (tmp_path / "two").stat().st_ino


def test_a_folder_is_removed_with_all_in_it(root):
    files.make_directory(files.join(root, "a", "b"))
    files.write_bytes(files.join(root, "a", "b", "file"), b"x")
    files.remove_tree(files.join(root, "a"))
    assert not files.exists(files.join(root, "a", "b", "file"))
    assert files.names(root) == []


def test_local_paths_are_made_absolute_and_others_left():
    assert files.resolve("data/x") == str(Path("data/x").absolute())
    assert files.resolve("gs://bucket/x/") == "gs://bucket/x"
    assert files.is_remote("gs://bucket")
    assert not files.is_remote("C:/data")
    assert not files.is_remote("/data://x")


def test_an_unknown_scheme_is_refused_by_name():
    with pytest.raises(DataError, match=r"nowhere://x.*nowhere"):
        files.exists("nowhere://x")
