"""Local files and files in a bucket answer alike."""

import errno
import os
import re
import stat
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


def test_ranges_are_read_in_their_order(root):
    for name in ("a", "b"):
        files.write_bytes(files.join(root, name), f"{name}123".encode())
    ranges = [(files.join(root, name), *span) for name in ("b", "a") for span in ((1, 3), (0, 1))]
    assert files.read_ranges(ranges) == [b"12", b"b", b"12", b"a"]
    assert files.read_ranges([]) == []


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


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write_text(tmp_path / "file", "before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_text(tmp_path / "file", "after")
    assert (tmp_path / "file").read_text() == "before"
    assert files.names(tmp_path) == ["file"]


def test_a_kill_before_the_rename_leaves_the_old_file(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    files.write_json(tmp_path / "file", {"a": 1})
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        files.write_json(tmp_path / "file", {"a": 2})
    assert (tmp_path / "file").read_text() == '{\n  "a": 1\n}\n'


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_directory_after(
    tmp_path, monkeypatch
):
    done = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor):
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def renamed(*paths):
        done.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    files.write_bytes(tmp_path / "file", b"content")
    assert done == ["file", "rename", "directory"]


def test_a_text_that_cannot_be_encoded_leaves_the_old_file(tmp_path):
    files.write_text(tmp_path / "file", "new é")
    with pytest.raises(UnicodeEncodeError):
        files.write_text(tmp_path / "file", "\ud800")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "new é"


def test_what_a_library_writes_to_a_path_appears_whole(tmp_path):
    (tmp_path / ".array.npy.0123.tmp").write_text("left by a kill")
    with files.new_file_path(tmp_path / "array.npy") as path:
        path.write_bytes(b"content")
        assert files.names(tmp_path) == [path.name]
    assert files.names(tmp_path) == ["array.npy"]


def test_what_a_library_could_not_finish_leaves_nothing(tmp_path):
    def interrupted():
        with files.new_file_path(tmp_path / "other") as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert files.names(tmp_path) == []


def test_a_line_that_a_crash_cut_short_stays_a_line_of_its_own(tmp_path):
    files.append_line(tmp_path / "log", "one")
    with (tmp_path / "log").open("a") as log:
        log.write("tw")
    files.append_line(tmp_path / "log", "three")
    assert (tmp_path / "log").read_text() == "one\ntw\nthree\n"


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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_names_the_file(number: int, tmp_path: Path) -> None:
    target = tmp_path / "file"

    def fail() -> None:
        raise OSError(number, os.strerror(number))

    for block in (files.new_file, files.new_file_path, files.new_directory):
        with pytest.raises(OSError, match=re.escape(str(target))) as failed, block(target):
            fail()
        assert failed.value.filename == str(target)


def test_an_error_that_is_not_of_writing_names_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError) as failed, files.new_file(tmp_path / "file"):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    assert failed.value.filename is None
