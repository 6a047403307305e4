"""Folders of images: which of them are classes, splits or images without a label."""

import tempfile
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.components.data.sources.source_items import items_by_key, write_zip
from twofold.components.data.sources import FolderSettings, build_source
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


def test_flat_images_have_no_label(tmp_path, write_files, image_bytes):
    write_files(tmp_path, {"1.jpg": image_bytes(1), "2.png": image_bytes(2, file_format="PNG")})
    source = build_source("folder", path=tmp_path)
    assert source.info().class_names == ()
    assert [item.label for item in items_by_key(source).values()] == [-1, -1]


def labels_and_splits(source):
    names = source.info().class_names
    return {
        key: (item.split, names[item.label] if item.label >= 0 else None)
        for key, item in items_by_key(source).items()
    }


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


SPLITS = (("train", "train"), ("valid", "validation"), ("TEST", "test"))


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
    keys = {
        f"{folders.format(split=folder, name=name)}/{number}.jpg": (split, name)
        for folder, split in SPLITS
        for name in ("cat", "dog")
        for number in range(2)
    }
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


@pytest.mark.parametrize("pattern", ["", "klass", "split/split", "class/", "*"])
def test_a_layout_that_says_nothing_is_refused(pattern):
    with pytest.raises(ValueError, match=r"auto, classes, or split, class and \* in their order"):
        FolderSettings(path=("x",), first_folders=pattern)


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
    keys = {
        f"{folders.format(split=folder, name=name)}/1.jpg": (split, name)
        for folder, split in SPLITS
        for name in ("cat", "dog")
    }
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


def test_splits_may_be_far_below_the_path(tmp_path):
    before = "home/me/data/projects/pets/v2/jpg"
    keys = {
        f"{before}/{folder}/{name}/1.jpg": (split, name)
        for folder, split in SPLITS
        for name in ("cat", "dog")
    }
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    assert labels_and_splits(build_source("folder", path=path)) == keys


def test_splits_deeper_than_anyone_looks_need_a_choice(tmp_path):
    keys = [f"{'a/' * 64}{split}/cat/1.jpg" for split in ("train", "test")]
    path = write_zip(tmp_path / "a.zip", dict.fromkeys(keys, b""))
    with pytest.raises(DataError, match=r"a split below more than 64 folders in a/.*first_folders"):
        build_source("folder", path=path).info()
    chosen = build_source("folder", path=path, first_folders=f"{'*/' * 64}split/class")
    assert [split for split, _ in labels_and_splits(chosen).values()] == ["train", "test"]


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
