"""Archives as folders of images: what is read of them, and what damage to them does."""

import io
import os
import shutil
import tarfile
import tracemalloc
import zipfile

import pytest

from tests.components.data.sources.source_items import items_by_key, write_zip
from twofold.components.data.rules import file_kinds
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


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", b"1")
        archive.writestr("a.jpg", b"2")
    with pytest.raises(DataError, match=r"2 images have the key 'a\.jpg'.*each name once"):
        build_source("folder", path=tmp_path / "a.zip").info()


def test_the_last_member_of_a_name_replaces_others_in_a_tar(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a/1.jpg": b"1", "a/2.jpg": b"2", "a/3.jpg": b"3"})
    with tarfile.open(path, "a") as archive:
        # As `tar -r`, once with a file in the place of a link and once the other way round.
        for name, target in (("a/2.jpg", "1.jpg"), ("a/4.jpg", "1.jpg")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        for name, content in (("a/4.jpg", b"4"), ("./a/1.jpg", b"5")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    source = build_source("folder", path=path)
    images = {key: item.image for key, item in items_by_key(source).items()}
    assert images == {"a/1.jpg": b"5", "a/2.jpg": b"5", "a/3.jpg": b"3", "a/4.jpg": b"4"}
    assert source.info().skipped == {"replaced in a .tar": 2}
    assert "left out 2 images that later ones" in source.info().taken_as[-1]


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
    assert item.problem == "the member is a sparse file"


def linked_tar(path):
    """Writes two images, and links to them: hard, symbolic, of a folder, of a link, and broken."""
    with tarfile.open(path, "w") as archive:
        for name in ("./a/1.jpg", "./a/2.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(name[-5].encode()))
        for name, kind, target in (
            ("./b/1.jpg", tarfile.LNKTYPE, "./a/1.jpg"),
            ("./b/2.jpg", tarfile.SYMTYPE, "../a/2.jpg"),
            ("./b/3.jpg", tarfile.SYMTYPE, "2.jpg"),
            ("./c", tarfile.SYMTYPE, "a"),
            ("./b/4.jpg", tarfile.SYMTYPE, "../c/1.jpg"),
            ("./b/5.jpg", tarfile.SYMTYPE, "/etc/hostname"),
            ("./b/6.jpg", tarfile.SYMTYPE, "6.jpg"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    return path


def test_links_inside_a_tar_are_followed(tmp_path):
    source = build_source("folder", path=linked_tar(tmp_path / "a.tar"))
    items = items_by_key(source, items=3)
    problems = {key: item.problem for key, item in items.items() if item.problem}
    assert problems == {
        "b/5.jpg": "it is a link to /etc/hostname, which is not there",
        "b/6.jpg": "it is a link to b/6.jpg, which is not there",
    }
    assert {key: item.image for key, item in items.items() if not item.problem} == {
        **{"a/1.jpg": b"1", "a/2.jpg": b"2", "b/1.jpg": b"1", "b/2.jpg": b"2", "b/3.jpg": b"2"},
        **{"c/1.jpg": b"1", "c/2.jpg": b"2", "b/4.jpg": b"1"},
    }
    assert source.info().class_names == ("a", "b", "c")


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_absolute_names_in_an_archive_are_read_as_they_are_unpacked(tmp_path, write):
    names = ("/cat/a.jpg", "./cat/b.jpg", "cat//c.jpg", "cat/../dog/d.jpg", "//dog/e.jpg")
    source = build_source("folder", path=write(tmp_path / "a", dict.fromkeys(names, b"1")))
    keys = ["cat/a.jpg", "cat/b.jpg", "cat/c.jpg", "dog/d.jpg", "dog/e.jpg"]
    assert sorted(items_by_key(source)) == keys
    assert source.info().class_names == ("cat", "dog")


def test_links_between_absolute_names_are_followed(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"/cat/a.jpg": b"1"})
    with tarfile.open(path, "a") as archive:
        for name, kind, target in (
            ("/cat/b.jpg", tarfile.LNKTYPE, "/cat/a.jpg"),
            ("/dog", tarfile.SYMTYPE, "cat"),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            archive.addfile(member)
    items = items_by_key(build_source("folder", path=path))
    assert {key: item.image for key, item in items.items()} == {
        "cat/a.jpg": b"1",
        "cat/b.jpg": b"1",
        "dog/a.jpg": b"1",
    }


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_a_name_that_leads_out_of_an_archive_is_refused(tmp_path, write):
    path = write(tmp_path / "a", {"cat/a.jpg": b"1", "x/../../dog/b.jpg": b"2"})
    with pytest.raises(DataError, match=r"inside the archive, received '\.\./dog/b\.jpg'"):
        build_source("folder", path=path).info()


@pytest.fixture
def large_from_10_bytes(monkeypatch):
    monkeypatch.setattr(file_kinds, "_LARGE", 10)
    monkeypatch.setattr(file_kinds, "_MOST", 99_000)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_a_large_file_is_read_only_if_it_begins_as_an_image(
    tmp_path, large_from_10_bytes, image_bytes, write_files, kind
):
    contents = {"a/1.jpg": bytes(5), "a/2.jpg": bytes(11), "a/3.jpg": bytes(99_001)}
    contents["a/4.jpg"] = image_bytes(0)
    write = {"folder": write_files, "zip": write_zip, "tar": write_tar}[kind]
    write(tmp_path / "in", contents)
    items = items_by_key(build_source("folder", path=tmp_path / "in"))
    assert {key: item.problem for key, item in items.items()} == {
        "a/1.jpg": None,
        "a/2.jpg": "it has 11 bytes that begin no image; "
        "expected JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP, GIF",
        "a/3.jpg": "it has 99,001 bytes; expected at most 99,000",
        "a/4.jpg": None,
    }
    assert items["a/4.jpg"].image == contents["a/4.jpg"]


def test_a_zip_member_takes_no_more_memory_than_it_says(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"a.jpg": bytes(50 << 20)}, compression=8)
    content = bytearray(path.read_bytes())
    # Its size in the central directory.
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(content)
    source = build_source("folder", path=path)
    source.info()
    tracemalloc.start()
    (item,) = items_by_key(source).values()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "CRC" in item.problem
    assert peak < 5 << 20


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tars_behind_one_another_are_one_archive(tmp_path, mode):
    parts = [
        write_tar(tmp_path / f"{name}.tar", {f"{name}/1.jpg": name.encode()}, mode)
        for name in ("a", "b", "c")
    ]
    path = tmp_path / "all.tar"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    items = items_by_key(build_source("folder", path=path))
    assert {key: item.image for key, item in items.items()} == {
        f"{name}/1.jpg": name.encode() for name in ("a", "b", "c")
    }


def test_what_follows_a_tar_and_is_none_is_damage(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.jpg": b"1"})
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"more".ljust(512, b"."))
    with pytest.raises(DataError, match=f"no end of the archive at byte {end}"):
        build_source("folder", path=path).info()


def test_backslashes_in_a_zip_part_folders(tmp_path):
    files = {"set\\train\\cat\\1.jpg": b"1", "set\\test\\dog\\2.jpg": b"2", "set\\test\\": b""}
    source = build_source("folder", path=write_zip(tmp_path / "a.zip", files))
    items = items_by_key(source)
    assert {key: (item.split, item.image) for key, item in items.items()} == {
        "set/train/cat/1.jpg": ("train", b"1"),
        "set/test/dog/2.jpg": ("test", b"2"),
    }
    assert source.info().class_names == ("cat", "dog")


@pytest.fixture
def some_damaged(tmp_path):
    """Paths of two sound archives and three others: empty, cut short, cut short and compressed."""
    sound = [
        write_tar(tmp_path / "a.tar", {"a/1.jpg": b"1" * 600, "a/2.jpg": b"2"}),
        write_zip(tmp_path / "b.zip", {"b/1.jpg": b"3"}),
    ]
    (tmp_path / "empty.zip").touch()
    cut = shutil.copy(sound[0], tmp_path / "cut.tar")
    os.truncate(cut, 1300)
    packed = write_tar(tmp_path / "cut.tar.gz", {"c/1.jpg": os.urandom(3000)}, "w:gz")
    os.truncate(packed, 2000)
    return [tmp_path / "empty.zip", sound[0], cut, packed, sound[1]]


def test_damaged_archives_are_refused_with_what_goes_on_without_them(some_damaged):
    with pytest.raises(DataError, match=r"empty\.zip: expected a folder.*damaged_archives=skip"):
        build_source("folder", path=some_damaged)
    with pytest.raises(DataError, match=r"cut\.tar: .*damaged.*data\.damaged_archives=skip"):
        build_source("folder", path=some_damaged[1:3]).info()


def test_damaged_archives_are_skipped_where_that_is_chosen(some_damaged):
    source = build_source("folder", path=some_damaged, damaged_archives="skip")
    assert sorted(items_by_key(source)) == ["a/1.jpg", "a/2.jpg", "b/1.jpg"]
    assert source.info().skipped == {"damaged archives": 3}
    line = source.info().taken_as[-1]
    assert line.startswith("skipped 3 of 5 paths: ")
    assert all(name in line for name in ("empty.zip: ", "cut.tar: ", "cut.tar.gz: "))


def test_archives_without_images_are_skipped_likewise(tmp_path):
    paths = [
        write_zip(tmp_path / f"{name}.zip", {name: b"1"}) for name in ("1.txt", "1.jpg", "2.txt")
    ]
    with pytest.raises(DataError, match=r"1\.txt\.zip: no images in it"):
        build_source("folder", path=paths).info()
    source = build_source("folder", path=paths, damaged_archives="skip")
    assert list(items_by_key(source)) == ["1.jpg"]
    assert source.info().skipped == {".txt": 2}
    with pytest.raises(DataError, match="no images in any of them"):
        build_source("folder", path=paths[::2], damaged_archives="skip").info()


def test_nothing_but_damaged_archives_is_refused(some_damaged):
    with pytest.raises(DataError, match=r"empty\.zip: expected a folder"):
        build_source("folder", path=some_damaged[:1], damaged_archives="skip")
