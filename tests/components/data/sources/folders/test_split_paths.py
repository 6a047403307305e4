"""Split paths: folders and archives that are splits by their own names."""

import zipfile

import pytest

from tests.components.data.sources.source_items import items_by_key, labels_and_splits, write_zip
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError


def test_archives_of_splits_are_one_source(tmp_path, image_bytes):
    for split in ("train", "test"):
        with zipfile.ZipFile(tmp_path / f"{split}.zip", "w") as archive:
            for name in ("b", "a") if split == "train" else ("c",):
                archive.writestr(f"{split}/{name}/0.jpg", image_bytes(0))
    source = build_source("folder", path=[tmp_path / "train.zip", tmp_path / "test.zip"])
    assert source.info().class_names == ("a", "b", "c")
    labels = {key: (item.split, item.label) for key, item in items_by_key(source).items()}
    assert labels["test/c/0.jpg"] == ("test", 2)
    assert labels["train/b/0.jpg"] == ("train", 1)


def test_archives_named_like_splits_are_splits(tmp_path):
    paths = [
        write_zip(tmp_path / f"{name}.zip", dict.fromkeys(["cat/1.jpg", "dog/2.jpg"], b"1"))
        for name in ("train", "test_set")
    ]
    source = build_source("folder", path=paths)
    assert labels_and_splits(source) == {
        "train/cat/1.jpg": ("train", "cat"),
        "train/dog/2.jpg": ("train", "dog"),
        "test_set/cat/1.jpg": ("test", "cat"),
        "test_set/dog/2.jpg": ("test", "dog"),
    }


def test_folders_named_like_splits_are_splits(tmp_path, write_files):
    write_files(tmp_path, {"train/cat/1.jpg": b"1", "val/cat/1.jpg": b"22"})
    items = items_by_key(build_source("folder", path=[tmp_path / "train", tmp_path / "val"]))
    assert [(item.split, item.image) for item in items.values()] == [
        ("train", b"1"),
        ("validation", b"22"),
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("pets_train.zip", "pets_test.zip"),
        ("imagenette2-train.zip", "imagenette2-val.zip"),
        ("pets.v2.train.zip", "pets.v2.test.zip"),
        ("train/a", "test/b"),
        ("train.zip", "pets_test.zip"),
    ],
)
def test_the_split_is_what_one_word_of_paths_says(tmp_path, write_files, names):
    images = dict.fromkeys(["cat/1.jpg", "dog/2.jpg"], b"")
    for name in names:
        write_zip(tmp_path / name, images) if "zip" in name else write_files(
            tmp_path / name, images
        )
    source = build_source("folder", path=[tmp_path / name for name in names])
    splits = ["train", "validation" if "val" in names[1] else "test"]
    expected = [(split, name) for split in splits for name in ("cat", "dog")]
    assert list(labels_and_splits(source).values()) == expected


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (("train.zip", "test.zip", "extra.zip"), "extra"),
        (("pets_train.zip", "pets_test.zip", "pets.zip"), "pets"),
        (("photos.zip", "test.zip"), "photos"),
    ],
)
def test_paths_of_which_some_say_a_split_need_a_choice(tmp_path, names, others):
    paths = [tmp_path / name for name in names]
    for path in paths:
        write_zip(path, dict.fromkeys([f"cat/{path.stem}.jpg", f"dog/{path.stem}.jpg"], b""))
    with pytest.raises(DataError, match=rf"and \S*{others}\.zip would not: .*=classes if none"):
        build_source("folder", path=paths).info()
    source = build_source("folder", path=paths, first_folders="classes")
    assert source.info().class_names == ("cat", "dog")
    assert source.info().items == 2 * len(paths)


@pytest.mark.parametrize("names", [("a.zip", "b.zip"), ("pets_train_1.zip", "pets_train_2.zip")])
def test_paths_that_hold_nothing_out_are_one(tmp_path, names):
    paths = [write_zip(tmp_path / name, {f"cat/{name}.jpg": b""}) for name in names]
    source = build_source("folder", path=paths)
    assert list(labels_and_splits(source)) == [f"cat/{name}.jpg" for name in names]
