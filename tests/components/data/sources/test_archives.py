"""Archives as folders of images: what is read of them, and what damage to them does."""

import io
import os
import shutil
import tarfile
import zipfile

import pytest

from tests.components.data.sources.source_items import items_by_key, write_zip
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_damaged_archive_member_is_an_item_with_a_problem(tmp_path, image_bytes):
    path = tmp_path / "images.zip"
    content = image_bytes(0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.jpg", content)
    stored = path.read_bytes()
    path.write_bytes(stored.replace(content, content[:-9] + b"\0" * 9))
    (item,) = items_by_key(build_source("folder", path=path)).values()
    assert item.image == b""
    assert "CRC" in item.problem


def content_ids(path):
    source = build_source("folder", path=path)
    return {item.key: item.content_id for task in source.tasks(9) for item in source.read(task)}


def changed(first, second):
    return [key for key in first if first[key] != second[key]]


def test_a_zip_member_that_changes_changes_its_identity_alone(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"1", "b.jpg": b"2"})
    before = content_ids(path)
    assert content_ids(shutil.copy(path, tmp_path / "copy.zip")) == before
    write_zip(path, {"a.jpg": b"3", "b.jpg": b"2"})
    assert changed(before, content_ids(path)) == ["a.jpg"]


def test_a_tar_that_changes_changes_the_content_id_of_what_may_have_changed(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1"})
    os.utime(path, ns=(0, 0))
    before = content_ids(path)
    write_tar(path, {"a.jpg": b"3"})
    assert changed(before, content_ids(path)) == ["a.jpg"]


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_an_archive_that_changes_while_it_is_prepared_is_refused(tmp_path, write):
    path = write(tmp_path / "archive", {"a.jpg": b"1"})
    source = build_source("folder", path=path)
    (task,) = source.tasks(10)
    write(path, {"a.jpg": b"longer than before", "b.jpg": b""})
    with pytest.raises(DataError, match="archive: changed while it was being prepared"):
        list(source.read(task))
    path.unlink()
    with pytest.raises(DataError, match="archive: cannot be opened any more"):
        list(source.read(task))


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_compression_of_zip_is_read(tmp_path, class_files, method):
    path = write_zip(tmp_path / "a.zip", class_files, compression=method)
    items = items_by_key(build_source("folder", path=path))
    assert {key: item.image for key, item in items.items()} == class_files


def test_an_encrypted_member_is_an_item_with_a_problem(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"1", "b.jpg": b"2"})
    content = bytearray(path.read_bytes())
    # The flags of the first entry of the central directory.
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    first, second = items_by_key(build_source("folder", path=path)).values()
    assert (first.image, first.problem) == (b"", "the member is encrypted")
    assert (second.image, second.problem) == (b"2", None)


def test_an_unknown_compression_is_an_item_with_a_problem(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"1"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 10] = 77
    path.write_bytes(content)
    (item,) = items_by_key(build_source("folder", path=path)).values()
    assert item.image == b""
    assert "compression method is not supported" in item.problem


def test_a_name_twice_in_an_archive_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1", "./a.jpg": b"2"})
    with pytest.raises(DataError, match=r"2 images have the key 'a\.jpg'"):
        build_source("folder", path=path).info()


@pytest.mark.parametrize("content", [b"plain text", b"", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images\.zip"):
        build_source("folder", path=path)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, containers, kind, share):
    path = tmp_path / f"images.{kind}"
    content = containers[kind].read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="damaged"):
        build_source("folder", path=path).info()


def test_a_tar_that_ends_between_two_members_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1", "b.jpg": b"2"})
    # A header and a block of content each.
    path.write_bytes(path.read_bytes()[: 2 * 512])
    with pytest.raises(DataError, match="no end of the archive at byte 1024"):
        build_source("folder", path=path).info()


def test_a_damaged_header_in_a_tar_is_no_end(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1", "b.jpg": b"2"})
    content = bytearray(path.read_bytes())
    content[2 * 512 + 3] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="no end of the archive at byte 1024"):
        build_source("folder", path=path).info()


def test_a_damaged_directory_of_a_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"1", "b.jpg": b"2"})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02")] = 0
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip: cannot be listed, or is damaged"):
        build_source("folder", path=path).info()


def test_every_image_of_a_large_archive_is_read(shared_file):
    path = shared_file("cifar10-jpeg/test.zip")
    source = build_source("folder", path=path)
    assert source.info().items == 10_000
    with zipfile.ZipFile(path) as archive:
        for task in source.tasks(4000):
            for item in source.read(task):
                assert item.image == archive.read(item.key)
                assert item.split == "test"


def test_a_member_with_holes_is_an_item_with_a_problem(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = 1
        member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "10"}
        archive.addfile(member, io.BytesIO(b"1"))
    (item,) = items_by_key(build_source("folder", path=path)).values()
    assert item.image == b""
    assert item.problem == "the member is stored with holes"
