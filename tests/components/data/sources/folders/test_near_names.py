"""Names near those of splits: which folders are splits by them, and which are classes."""

import pytest

from tests.components.data.sources.source_items import (
    images_of_splits,
    labels_and_splits,
    write_zip,
)
from twofold.components.data.sources import build_source
from twofold.components.errors import DataError


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("training_set", "train"),
        ("Train-Data", "train"),
        ("images_train", "train"),
        ("dev", "validation"),
        ("eval", "validation"),
        ("test_set", "test"),
        ("testset", "test"),
        ("holdout", "test"),
    ],
)
def test_where_all_first_folders_nearly_name_splits_they_are_splits(
    tmp_path, write_files, name, split
):
    keys = [f"{name}/cat/1.jpg", f"{name}/dog/1.jpg", "unlabelled_images/cat/1.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    source = build_source("folder", path=tmp_path)
    assert labels_and_splits(source) == {
        f"{name}/cat/1.jpg": (split, "cat"),
        f"{name}/dog/1.jpg": (split, "dog"),
        "unlabelled_images/cat/1.jpg": ("unlabelled", None),
    }
    (line,) = source.info().taken_as
    assert line.startswith("folders read as split/class: classes cat, dog; ")
    assert f"{split} in {name}/" in line
    assert "images without a label in unlabelled_images/" in line


def test_beside_other_folders_a_name_near_that_of_a_split_is_a_class(tmp_path, write_files):
    write_files(tmp_path, {"cat/1.jpg": b"", "dev/1.jpg": b"", "data/1.jpg": b""})
    source = build_source("folder", path=tmp_path)
    assert source.info().class_names == ("cat", "data", "dev")


@pytest.mark.parametrize("names", [("petstest", "petstrain"), ("testpets", "trainpets")])
def test_names_joined_to_those_of_splits_need_a_choice(tmp_path, names):
    keys = dict.fromkeys([f"{name}/cat/{name}.jpg" for name in names], b"")
    path = write_zip(tmp_path / "a.zip", keys)
    paths = [write_zip(tmp_path / f"{name}.zip", {f"cat/{name}.jpg": b""}) for name in names]
    message = f"{', '.join(names)} may be splits by the ends of their names: expected names such as"
    for each in ([path], paths):
        with pytest.raises(DataError, match=message):
            build_source("folder", path=each).info()
        assert build_source("folder", path=each, first_folders="classes").info().items == 2


def test_a_class_may_end_like_the_name_of_a_split(tmp_path):
    keys = [f"{name}/1.jpg" for name in ("contest", "greatest", "interval", "strain", "upval")]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    assert len(build_source("folder", path=path).info().class_names) == len(keys)


@pytest.mark.parametrize(
    ("folders", "pattern"),
    [
        ("pets_{split}/{name}", "split/class"),
        ("my-{split}/{name}", "split/class"),
        ("bounding_box_{split}/{name}", "split/class"),
        ("jpg/pets2{split}/{name}", "*/split/class"),
        ("{name}/pets_{split}", "class/split"),
    ],
)
def test_names_that_differ_only_in_the_word_of_a_split_are_splits(tmp_path, folders, pattern):
    keys = images_of_splits(folders)
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    source = build_source("folder", path=path)
    assert labels_and_splits(source) == keys
    assert source.info().taken_as[0].startswith(f"folders read as {pattern}: classes cat, dog; ")
    chosen = build_source("folder", path=path, first_folders=pattern)
    assert labels_and_splits(chosen) == keys


@pytest.mark.parametrize(
    "folders",
    [
        ["box_train", "box_test", "query"],
        ["pets_train", "birds_test"],
        ["freight_train", "crash_test", "car"],
    ],
)
def test_names_of_which_a_word_may_be_a_split_need_a_choice(tmp_path, write_files, folders):
    write_files(tmp_path, {f"{folder}/cat/1.jpg": b"" for folder in folders})
    message = r"may be splits .* data\.first_folders=split/class if .*data\.first_folders=classes"
    with pytest.raises(DataError, match=message):
        build_source("folder", path=tmp_path).info()
    splits = build_source("folder", path=tmp_path, first_folders="split/class")
    assert {one for one, _ in labels_and_splits(splits).values()} == {"train", "test"}
    classes = build_source("folder", path=tmp_path, first_folders="classes")
    assert classes.info().class_names == tuple(sorted(folders))


@pytest.mark.parametrize(
    "classes",
    [
        ("bus", "car", "freight_train", "plane"),
        ("freight_train", "passenger_train"),
        ("bus_stop", "fire_station", "train_station", "tram_stop"),
        ("bus", "car", "plane", "road", "screen_test", "train_station"),
    ],
)
def test_a_class_may_have_the_word_of_a_split_in_its_name(tmp_path, write_files, classes):
    write_files(tmp_path, {f"{name}/2020/1.jpg": b"" for name in classes})
    assert build_source("folder", path=tmp_path).info().class_names == classes
