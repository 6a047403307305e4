import os
import pickle
import shutil
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.errors import DataError
from components.data.sources import build_source
from components.data.sources.layout import split_and_class


def read_all(source):
    return {item.key: item for chunk in source.chunks() for item in source.read(chunk)}


def test_every_container_of_the_same_files_reads_the_same(containers, class_files):
    for path in containers.values():
        source = build_source("folder", path=path)
        items = read_all(source)
        assert {key: item.image for key, item in items.items()} == class_files
        assert source.info().class_names == ("cat", "dog", "frog")
        assert items["dog/001.jpg"].label == 1
        assert items["dog/001.jpg"].split is None


def test_splits_and_classes_come_from_the_folders(tmp_path, write_files, image_bytes):
    image = image_bytes(0)
    keys = ["train/dog/1.jpg", "train/cat/deep/1.jpeg", "val/dog/2.JPG", "unlabeled/x/1.jpg"]
    write_files(tmp_path, dict.fromkeys([*keys, "train/3.jpg"], image))
    source = build_source("folder", path=tmp_path)
    items = read_all(source)
    found = {key: (item.split, item.label) for key, item in items.items()}
    assert found == {
        "train/dog/1.jpg": ("train", 1),
        "train/cat/deep/1.jpeg": ("train", 0),
        "train/3.jpg": ("train", -1),
        "val/dog/2.JPG": ("validation", 1),
        "unlabeled/x/1.jpg": ("unlabelled", -1),
    }
    assert source.info().split_counts == (("train", 3), ("unlabelled", 1), ("validation", 1))


def test_archives_of_splits_are_one_source(tmp_path, image_bytes):
    for split in ("train", "test"):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for name in ("b", "a") if split == "train" else ("c",):
                archive.writestr(f"{split}/{name}/0.jpg", image_bytes(0))
    source = build_source("folder", path=[tmp_path / "train.zip", tmp_path / "test.zip"])
    assert source.info().class_names == ("a", "b", "c")
    labels = {key: (item.split, item.label) for key, item in read_all(source).items()}
    assert labels["test/c/0.jpg"] == ("test", 2)
    assert labels["train/b/0.jpg"] == ("train", 1)


def test_flat_images_have_no_label(tmp_path, write_files, image_bytes):
    write_files(tmp_path, {"1.jpg": image_bytes(1), "2.png": image_bytes(2, file_format="PNG")})
    source = build_source("folder", path=tmp_path)
    assert source.info().class_names == ()
    assert [item.label for item in read_all(source).values()] == [-1, -1]


@given(st.lists(st.sampled_from(["train", "val", "cat", "dog"]), min_size=1, max_size=6))
def test_a_folder_is_a_split_only_where_all_are(first_folders):
    found = split_and_class([f"{folder}/x/1.jpg" for folder in first_folders])
    if set(first_folders) <= {"train", "val"}:
        names = {"train": "train", "val": "validation"}
        assert found == [(names[folder], "x") for folder in first_folders]
    else:
        assert found == [(None, folder) for folder in first_folders]


def test_other_files_are_counted_and_ignored(tmp_path, write_files, image_bytes):
    image = image_bytes(0)
    others = ["a/readme.txt", ".hidden/1.jpg", "a/.thumb.jpg", "__MACOSX/a/1.jpg"]
    write_files(tmp_path, dict.fromkeys(["a/1.jpg", *others], image))
    source = build_source("folder", path=tmp_path)
    assert list(read_all(source)) == ["a/1.jpg"]
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
    assert list(read_all(build_source("folder", path=root))) == ["a/1.jpg"]


def test_a_name_that_is_no_unicode_still_gets_a_key(tmp_path, image_bytes):
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(image_bytes(0))
    assert list(read_all(build_source("folder", path=tmp_path))) == ["caf\\xe9.jpg"]


def test_a_damaged_archive_member_is_an_item_with_a_problem(tmp_path, image_bytes):
    path = tmp_path / "images.zip"
    content = image_bytes(0)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.jpg", content)
    stored = path.read_bytes()
    path.write_bytes(stored.replace(content, content[:-9] + b"\0" * 9))
    (item,) = read_all(build_source("folder", path=path)).values()
    assert item.image == b""
    assert "CRC" in item.problem


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match=f"no such file or folder: {tmp_path}/nowhere"):
        build_source("folder", path=tmp_path / "nowhere")


def test_a_folder_without_images_is_refused(tmp_path, write_files):
    write_files(tmp_path, {"notes.txt": b"x"})
    with pytest.raises(DataError, match=r"no images in it.*\.jpg.*found 1 other files"):
        build_source("folder", path=tmp_path)


def test_no_path_at_all_is_refused():
    with pytest.raises(DataError, match="at least one path"):
        build_source("folder", path=[])


@pytest.mark.parametrize("content", [b"plain text", b"", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images\.zip"):
        build_source("folder", path=path)


def test_a_truncated_archive_is_refused(tmp_path, containers):
    path = tmp_path / "images.tar.gz"
    path.write_bytes(containers["tar.gz"].read_bytes()[:3000])
    with pytest.raises(DataError, match="damaged"):
        build_source("folder", path=path)


def test_the_same_key_twice_is_refused(tmp_path, write_files, image_bytes):
    for name in ("one", "two"):
        write_files(tmp_path / name, {"cat/1.jpg": image_bytes(0)})
    with pytest.raises(DataError, match=r"2 images have the key 'cat/1\.jpg'"):
        build_source("folder", path=[tmp_path / "one", tmp_path / "two"])


def test_files_that_change_under_a_worker_are_noticed(tmp_path, write_files, image_bytes):
    write_files(tmp_path, {"a/1.jpg": image_bytes(0)})
    pickled = pickle.dumps(build_source("folder", path=tmp_path))
    write_files(tmp_path, {"a/2.jpg": image_bytes(1)})
    with pytest.raises(DataError, match="changed while they were being prepared"):
        pickle.loads(pickled).chunks()
