"""Files of any format in folders and archives: what is read, what is skipped, and what is said."""

import io
import tarfile

import pytest

from tests.components.data.sources.source_items import items_by_key, write_zip
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError


@pytest.fixture(scope="module")
def odd_files(image_bytes):
    """Images under names that do not tell, and files that are none."""
    return {
        "cat/1.jfif": image_bytes(1),
        "cat/2": image_bytes(2, file_format="PNG"),
        "cat/3.jpg?w=1": image_bytes(3),
        "cat/4.JPE": image_bytes(4),
        "dog/1.webp": image_bytes(5, file_format="WEBP"),
        "dog/2.avif": image_bytes(6, file_format="AVIF"),
        "dog/3.data": image_bytes(7, file_format="WEBP"),
        "dog/4.tif": image_bytes(8, file_format="TIFF"),
        "dog/5.gif": image_bytes(9, file_format="GIF"),
        "cat/1.txt": b"0 0.5 0.5 1 1",
        "cat/2.txt": b"0 0.5 0.5 1 1",
        "dog/film.mp4": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        "dog/raw.NEF": b"II*\0",
        "cat/.thumb.jpg": image_bytes(1),
    }


def write_tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(params=["folder", "zip", "tar.gz", "bucket"])
def odd_path(request, tmp_path, odd_files, write_files, to_bucket):
    if request.param == "zip":
        return write_zip(tmp_path / "a.zip", odd_files)
    if request.param == "tar.gz":
        return write_tar(tmp_path / "a.tar.gz", odd_files)
    folder = write_files(tmp_path / "odd", odd_files)
    return to_bucket(folder, "odd-files") if request.param == "bucket" else folder


def test_images_are_told_by_their_content(odd_path, odd_files):
    source = build_source("folder", path=odd_path)
    images = list(odd_files)[:9]
    read = {key: item.image for key, item in items_by_key(source).items()}
    assert read == {key: odd_files[key] for key in images}
    info = source.info()
    assert info.class_names == ("cat", "dog")
    assert info.skipped == {".txt": 2, ".mp4": 1, "camera raw": 1, "hidden": 1}
    assert info.taken_as[0] == "folders read as class: classes cat, dog"
    line = "skipped 5 files that are no images: 2 .txt, "
    assert info.taken_as[1].startswith(line)
    assert len(info.taken_as) == 2


def test_a_class_of_pictures_that_cannot_be_read_is_not_lost(tmp_path, write_files, image_bytes):
    jpeg_2000 = image_bytes(1, file_format="JPEG2000")
    write_files(tmp_path, {"cat/1.jpg": b"", "dog/1.jp2": jpeg_2000, "dog/2.jp2": jpeg_2000})
    with pytest.raises(DataError, match="class dog has no image that can be read, but 2 JPEG 2000"):
        build_source("folder", path=tmp_path).info()
    write_files(tmp_path, {"dog/3.jpg": b""})
    assert build_source("folder", path=tmp_path).info().class_names == ("cat", "dog")


def test_a_folder_of_other_files_is_no_class(tmp_path, write_files):
    write_files(tmp_path, {"cat/1.jpg": b"", "labels/1.txt": b"1"})
    info = build_source("folder", path=tmp_path).info()
    assert (info.class_names, info.skipped) == (("cat",), {".txt": 1})


def test_kinds_of_files_beyond_some_are_counted_together(tmp_path, write_files):
    write_files(tmp_path, {"1.jpg": b"", **{f"x.{i:03d}": b"" for i in range(40)}})
    skipped = build_source("folder", path=tmp_path).info().skipped
    assert sum(skipped.values()) == 40
    assert skipped["others"] == 10


@pytest.mark.parametrize("kind", [".pgm", ".dcm", ".npy", ".mp4", ".zip"])
def test_a_class_in_files_that_are_no_images_is_not_lost(tmp_path, write_files, kind):
    write_files(tmp_path, {"cat/1.jpg": b"", f"dog/1{kind}": b"x", "dog/notes.txt": b""})
    write_files(tmp_path, {f"dog/2{kind}": b"x"})
    with pytest.raises(DataError, match=rf"class dog has no image .* but 2 \{kind}, 1 \.txt") as no:
        build_source("folder", path=tmp_path).info()
    assert str(no.value).endswith(
        "move the folder away, or data.first_folders=class goes on without it"
    )
    info = build_source("folder", path=tmp_path, first_folders="class").info()
    assert info.class_names == ("cat",)
    assert info.taken_as[-1] == "no image of class dog"


@pytest.mark.parametrize(("kind", "content"), [(".psd", b"8BPS"), (".pgm", b"P5")])
def test_a_split_in_files_that_are_no_images_is_not_lost(tmp_path, write_files, kind, content):
    write_files(tmp_path, {"train/cat/1.jpg": b"", f"test/cat/1{kind}": content})
    with pytest.raises(DataError, match="split test has no image that can be read, but 1 "):
        build_source("folder", path=tmp_path).info()


def test_a_class_without_an_image_in_one_split_is_named(tmp_path, write_files):
    keys = ["train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.pgm"]
    write_files(tmp_path, dict.fromkeys([*keys, "train/cat/labels/1.pgm"], b"x"))
    info = build_source("folder", path=tmp_path).info()
    assert info.class_names == ("cat", "dog")
    assert info.taken_as[-1] == "no image of class dog in split test"


@pytest.mark.parametrize(
    ("keys", "empty", "said"),
    [
        (["cat/1.jpg", "dog/1.jpg"], ["bird"], "no image of class bird"),
        (["train/cat/1.jpg", "val/cat/1.jpg"], ["test", "train/dog"], "class dog, split test"),
        (["train/cat/1.jpg", "val/cat/1.jpg"], ["test/cat"], "no image of split test"),
    ],
)
def test_empty_folders_of_classes_and_splits_are_named(tmp_path, write_files, keys, empty, said):
    write_files(tmp_path, dict.fromkeys([*keys, ".git/x"], b""))
    for folder in empty:
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "loop").symlink_to("loop")
    assert build_source("folder", path=tmp_path).info().taken_as[-1].endswith(said)
