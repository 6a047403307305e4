"""Folder names: which of them are classes, splits or images without a label."""

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.data.sources.source_items import items_by_key, labels_and_splits, write_zip
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError


def test_splits_and_classes_come_from_the_folders(tmp_path, write_files, image_bytes):
    image = image_bytes(0)
    keys = ["train/dog/1.jpg", "train/cat/deep/1.jpeg", "val/dog/2.JPG", "unlabeled/x/1.jpg"]
    write_files(tmp_path, dict.fromkeys([*keys, "train/3.jpg"], image))
    source = build_source("folder", path=tmp_path)
    items = items_by_key(source)
    found = {key: (item.split, item.label) for key, item in items.items()}
    assert found == {
        "train/dog/1.jpg": ("train", 1),
        "train/cat/deep/1.jpeg": ("train", 0),
        "train/3.jpg": ("train", -1),
        "val/dog/2.JPG": ("validation", 1),
        "unlabeled/x/1.jpg": ("unlabelled", -1),
    }
    assert source.info().class_names == ("cat", "dog")


def test_flat_images_have_no_label(tmp_path, write_files, image_bytes):
    write_files(tmp_path, {"1.jpg": image_bytes(1), "2.png": image_bytes(2, file_format="PNG")})
    source = build_source("folder", path=tmp_path)
    assert source.info().class_names == ()
    assert [item.label for item in items_by_key(source).values()] == [-1, -1]


@given(st.sets(st.sampled_from(["train", "Val", "unlabelled", "cat", "dog"]), min_size=1))
def test_a_folder_keeps_the_meaning_of_its_name_or_is_refused(first_folders):
    with tempfile.TemporaryDirectory() as root:
        keys = [f"{folder}/x/1.jpg" for folder in sorted(first_folders)]
        source = build_source("folder", path=write_zip(f"{root}/a.zip", dict.fromkeys(keys, b"")))
        splits, classes = first_folders & {"train", "Val"}, first_folders & {"cat", "dog"}
        if splits and classes:
            with pytest.raises(DataError, match="expected all images in folders such as train/"):
                source.info()
            return
        found = {key.split("/")[0]: values for key, values in labels_and_splits(source).items()}
    expected = {
        "train": ("train", "x"),
        "Val": ("validation", "x"),
        "unlabelled": ("unlabelled", None),
        "cat": (None, "cat"),
        "dog": (None, "dog"),
    }
    assert found == {folder: expected[folder] for folder in first_folders}


@pytest.mark.parametrize(
    "name", ["unlabelled", "unlabeled", "Unlabelled", "UNLABELED", "unsup", "unsupervised"]
)
def test_a_folder_of_images_without_labels_beside_classes_is_no_class(tmp_path, write_files, name):
    keys = ["cat/1.jpg", "dog/1.jpg", f"{name}/1.jpg", f"{name}/deep/2.jpg", "loose.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    source = build_source("folder", path=tmp_path)
    assert source.info().class_names == ("cat", "dog")
    assert labels_and_splits(source) == {
        "cat/1.jpg": (None, "cat"),
        "dog/1.jpg": (None, "dog"),
        f"{name}/1.jpg": ("unlabelled", None),
        f"{name}/deep/2.jpg": ("unlabelled", None),
        "loose.jpg": (None, None),
    }
    assert source.info().taken_as == (
        f"folders read as class: classes cat, dog; images without a label in {name}/; images in no "
        f"folder without a label",
    )


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("val", "validation"),
        ("valid", "validation"),
        ("VALIDATION", "validation"),
        ("Test", "test"),
        ("testing", "test"),
    ],
)
def test_a_split_has_the_names_that_other_tools_write(tmp_path, write_files, name, split):
    write_files(tmp_path, {f"{name}/cat/1.jpg": b"", f"{name}/unlabelled/1.jpg": b""})
    source = build_source("folder", path=tmp_path)
    assert labels_and_splits(source) == {
        f"{name}/cat/1.jpg": (split, "cat"),
        f"{name}/unlabelled/1.jpg": (split, None),
    }
    assert source.info().taken_as == (
        f"folders read as split/class: classes cat; {split} in {name}/",
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["train/a/1.jpg", "cat/1.jpg"],
            "train/ would be a split and cat/ would not: expected all",
        ),
        (["test/a/1.jpg", "1.jpg"], "test/ would be a split and images in no folder would not"),
        (
            ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/2.jpg", "dog/3.jpg", "dog/4.jpg"],
            "cat/test/, cat/train/, dog/train/ would be a split inside a class: expected the "
            "splits outside the classes, as in test/cat/",
        ),
        (["cat/1.jpg", "dog/a/b/Test/1.jpg"], "dog/a/b/Test/ would be a split inside a class"),
        (["cat/1.jpg", "Test-Images/1.jpg"], "Test-Images/ would be a split and cat/ would not"),
        (
            ["cat/1.jpg", "test_1/1.jpg", "2.jpg"],
            "test_1/ would be a split and images in no folder, cat/",
        ),
        (["cat/1.jpg", "dog/1.jpg", "dog/Test/1.jpg"], "dog/Test/ would be a split inside a class"),
        (
            ["cat/1.jpg", "cat/unlabelled/1.jpg", "dog/unlabeled/1.jpg"],
            "cat/unlabelled/, dog/unlabeled/ would be a split inside a class: expected the splits "
            "outside the classes, as in unlabelled/cat/",
        ),
    ],
)
def test_folders_that_may_be_splits_or_classes_need_a_choice(tmp_path, write_files, keys, message):
    write_files(tmp_path, dict.fromkeys(keys, b""))
    with pytest.raises(DataError, match=message) as refused:
        build_source("folder", path=tmp_path).info()
    assert f"{tmp_path}: " in str(refused.value)
    assert "data.first_folders=classes if " in str(refused.value)

    chosen = build_source("folder", path=tmp_path, first_folders="classes")
    first = {key: key.split("/")[0] if "/" in key else None for key in keys}
    assert labels_and_splits(chosen) == {key: (None, name) for key, name in first.items()}


@pytest.mark.parametrize(
    ("keys", "inner"),
    [
        (["train/cat/1.jpg", "train/dog/1.jpg", "train/test/1.jpg"], "train/test/"),
        (["test/cat/1.jpg", "train/cat/1.jpg", "train/Train/1.jpg"], "train/Train/"),
        (["training_set/cat/1.jpg", "training_set/val/1.jpg"], "training_set/val/"),
    ],
)
def test_a_split_inside_a_split_is_no_class(tmp_path, write_files, keys, inner):
    write_files(tmp_path, dict.fromkeys(keys, b""))
    with pytest.raises(DataError, match=f"{inner} would be a split inside a split") as refused:
        build_source("folder", path=tmp_path).info()
    assert "move it out, rename it if it is a class, or name splits" in str(refused.value)


def test_what_is_in_a_folder_without_labels_tells_nothing(tmp_path, write_files):
    keys = ["cat/1.jpg", "unlabelled/train/1.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    assert labels_and_splits(build_source("folder", path=tmp_path)) == {
        "cat/1.jpg": (None, "cat"),
        "unlabelled/train/1.jpg": ("unlabelled", None),
    }


def test_a_class_may_be_called_like_a_split_where_that_is_said(tmp_path, write_files):
    # The class train of CIFAR-100 is a vehicle.
    keys = ["bus/1.jpg", "train/1.jpg", "unlabelled/1.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    source = build_source("folder", path=tmp_path, first_folders="classes")
    assert source.info().class_names == ("bus", "train", "unlabelled")
    line = "folders read as class: classes bus, train, unlabelled"
    assert source.info().taken_as == (line,)


def test_another_meaning_of_the_same_files_is_another_source(tmp_path, write_files):
    write_files(tmp_path, {"cat/1.jpg": b"", "unlabelled/1.jpg": b""})
    automatic, classes = (
        build_source("folder", path=tmp_path, first_folders=chosen).info().fingerprint
        for chosen in ("auto", "classes")
    )
    assert automatic != classes
