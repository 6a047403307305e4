"""Folder layouts: at which depths splits and classes stand, and what lies outside the splits."""

import pytest

from tests.components.data.sources.source_items import (
    SPLITS,
    images_of_splits,
    labels_and_splits,
    write_zip,
)
from twofold.components.data.sources import FolderSettings, build_source
from twofold.components.errors import DataError


@pytest.mark.parametrize(
    ("folders", "pattern"),
    [
        ("{split}/{name}", "split/class"),
        ("{split}/images/{name}", "split/*/class"),
        ("{split}/{split}/{name}", "*/split/class"),
        ("seg_{split}/seg_{split}/{name}", "*/split/class"),
        ("{split}2017/{name}", "split/class"),
        ("{name}/{split}", "class/split"),
        ("myset/{split}/{name}", "*/split/class"),
        ("my/set/{split}/images/{name}/deep", "*/*/split/*/class"),
        ("photos/{name}/{split}", "*/class/split"),
    ],
)
def test_splits_are_found_at_any_depth(tmp_path, folders, pattern):
    keys = images_of_splits(folders, images=2)
    path = write_zip(tmp_path / "a.zip", dict.fromkeys([*keys, "sample.jpg"], b""))
    source = build_source("folder", path=path)
    assert labels_and_splits(source) == keys
    assert source.info().items == len(keys)
    assert source.info().ignored == 1
    (line,) = source.info().taken_as
    assert line.startswith(f"folders read as {pattern}: classes cat, dog; test in ")
    assert line.endswith("left out 1 outside the splits (sample.jpg)")
    chosen = build_source("folder", path=path, first_folders=pattern)
    assert labels_and_splits(chosen) == keys


def test_splits_of_images_without_classes_are_found(tmp_path, write_files):
    keys = {f"images/{folder}/1.jpg": (split, None) for folder, split in SPLITS}
    write_files(tmp_path, dict.fromkeys(keys, b""))
    assert labels_and_splits(build_source("folder", path=tmp_path)) == keys


def test_splits_may_be_far_below_the_path(tmp_path):
    keys = images_of_splits("home/me/data/projects/pets/v2/jpg/{split}/{name}")
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    assert labels_and_splits(build_source("folder", path=path)) == keys


def test_splits_deeper_than_anyone_looks_need_a_choice(tmp_path):
    keys = [f"{'a/' * 64}{split}/cat/1.jpg" for split in ("train", "test")]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    with pytest.raises(DataError, match=r"a split below more than 64 folders in a/.*first_folders"):
        build_source("folder", path=path).info()
    chosen = build_source("folder", path=path, first_folders=f"{'*/' * 64}split/class")
    assert [split for split, _ in labels_and_splits(chosen).values()] == ["train", "test"]


def test_images_in_no_folder_do_not_hide_the_splits(tmp_path, write_files):
    keys = [f"{split}/cat/{i}.jpg" for split in ("train", "val") for i in range(6)]
    write_files(tmp_path, dict.fromkeys([*keys, "sample.jpg"], b""))
    found = labels_and_splits(build_source("folder", path=tmp_path))
    assert {key for key, (split, _) in found.items() if split == "validation"} == set(keys[6:])
    assert "sample.jpg" not in found


def test_a_class_before_or_behind_the_split_needs_a_choice(tmp_path, write_files):
    keys = ["a/train/x/1.jpg", "a/test/y/1.jpg", "b/train/x/1.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    expected = r"expected data.first_folders=\*/split/class or data.first_folders=class/split"
    with pytest.raises(DataError, match=f"a/test/y/, a/train/x/, b/train/x/ .*: {expected}"):
        build_source("folder", path=tmp_path).info()
    behind = build_source("folder", path=tmp_path, first_folders="*/split/class")
    before = build_source("folder", path=tmp_path, first_folders="class/split")
    assert labels_and_splits(behind)["b/train/x/1.jpg"] == ("train", "x")
    assert labels_and_splits(before)["b/train/x/1.jpg"] == ("train", "b")
    assert behind.info().fingerprint != before.info().fingerprint


def test_a_class_in_one_of_several_folders_before_the_split_needs_a_choice(tmp_path):
    keys = [f"{name}/{split}/1.jpg" for name in ("cat/a", "dog/b") for split in ("test", "train")]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    choices = r"data\.first_folders=class/\*/split or data\.first_folders=\*/class/split"
    with pytest.raises(DataError, match=f"in cat/a/test/, cat/a/train/, .* expected {choices}"):
        build_source("folder", path=path).info()
    chosen = build_source("folder", path=path, first_folders="class/*/split")
    assert labels_and_splits(chosen)["cat/a/test/1.jpg"] == ("test", "cat")


def test_the_folder_before_the_split_that_may_be_the_class_is_the_one_that_varies(tmp_path):
    keys = [f"all/{name}/{split}/x/1.jpg" for name in "ab" for split in ("test", "train")]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    choices = r"first_folders=\*/\*/split/class or data\.first_folders=\*/class/split"
    with pytest.raises(DataError, match=f"in all/a/test/x/, .* expected data.{choices}"):
        build_source("folder", path=path).info()


def test_a_chosen_layout_that_few_images_have_is_refused(tmp_path, write_files):
    write_files(tmp_path, dict.fromkeys(["train/a/1.jpg", "b/1.jpg", "c/1.jpg"], b""))
    with pytest.raises(DataError, match=r"2 of 3 images, b/1\.jpg the first, are not in a split"):
        build_source("folder", path=tmp_path, first_folders="split/class").info()


def test_many_images_outside_the_splits_are_left_out_where_that_is_chosen(tmp_path, write_files):
    keys = ["train/a/1.jpg", "test/a/1.jpg", "b/1.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    with pytest.raises(DataError, match=r"or data\.first_folders=split/class to leave out what is"):
        build_source("folder", path=tmp_path).info()
    source = build_source("folder", path=tmp_path, first_folders="split/class")
    assert list(labels_and_splits(source)) == ["test/a/1.jpg", "train/a/1.jpg"]
    assert source.info().skipped == {"outside the splits": 1}


@pytest.mark.parametrize(
    ("folders", "strays", "said"),
    [
        ("{split}/{name}", ["dog/a/1.jpg", "dog/2.jpg"], "dog/ is no split and no class"),
        ("pets/{split}/{name}", ["pets/dog/1.jpg", "x.jpg"], "pets/dog/ is no split and no class"),
        (
            "{name}/{split}",
            ["cat/more/1.jpg", "cat/2.jpg", "dog/1.jpg"],
            "cat/more/, dog/ are no splits and no classes",
        ),
    ],
)
def test_a_folder_that_is_left_out_beside_splits_is_named(tmp_path, folders, strays, said):
    keys = [
        f"{folders.format(split=split, name=name)}/{number}.jpg"
        for split in ("train", "val")
        for name in ("cat", "bird")
        for number in range(5)
    ]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys([*keys, *strays], b""))
    (line,) = build_source("folder", path=path).info().taken_as
    assert line.endswith(f"left out {len(strays)} outside the splits ({strays[0]} ...): {said}")


@pytest.mark.parametrize("pattern", ["", "klass", "split/split", "class/", "*"])
def test_a_layout_that_says_nothing_is_refused(pattern):
    with pytest.raises(ValueError, match=r"auto, classes, or split, class and \* in their order"):
        FolderSettings(path=("x",), first_folders=pattern)
