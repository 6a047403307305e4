import os
import shutil
import tempfile
import zipfile

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.data.sources import FolderSettings, build_source
from twofold.components.data.sources.access import file_listing as files
from twofold.components.errors import DataError


def read_all(source, items=25):
    return {item.key: item for task in source.tasks(items) for item in source.read(task)}


def nothing(key, content_id):
    return False


def write_zip(path, files, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


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
    assert source.info().class_names == ("cat", "dog")


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


def labels_and_splits(source):
    names = source.info().class_names
    return {
        key: (item.split, names[item.label] if item.label >= 0 else None)
        for key, item in read_all(source).items()
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
        "taken as classes: cat, dog",
        f"taken as images without a label: {name}/",
        "taken without a label: images outside the class folders",
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
        "taken as classes: cat",
        f"taken as the {split} split: {name}/",
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
            ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/2.jpg"],
            "cat/test/, cat/train/, dog/train/ would be a split inside a class: expected the "
            "splits outside the classes, as in test/cat/",
        ),
        (
            ["cat/train/1.jpg", "cat/test/1.jpg", "dog/train/2.jpg", "cat/cover.jpg"],
            "cat/test/, cat/train/, dog/train/ would be a split inside a class",
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


@pytest.mark.parametrize("beside", [[], ["cover.jpg"], ["photos/cover.jpg"]])
def test_splits_inside_one_folder_are_to_be_reached_through_it(tmp_path, write_files, beside):
    keys = ["photos/train/cat/1.jpg", "photos/unlabelled/1.jpg", *beside]
    write_files(tmp_path / "f", dict.fromkeys(keys, b""))
    message = "photos/train/, photos/unlabelled/ would be a split inside a class: expected "
    with pytest.raises(DataError, match=f"{message}data.path={tmp_path}/f/photos, or "):
        build_source("folder", path=tmp_path / "f").info()
    archive = write_zip(tmp_path / "f.zip", dict.fromkeys(keys, b""))
    with pytest.raises(DataError, match=f"{message}them without photos/ around, or "):
        build_source("folder", path=archive).info()


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
    assert source.info().taken_as == (
        "taken as classes: cat, dog",
        f"taken as the {split} split: {name}/",
        "taken as images without a label: unlabelled_images/",
    )


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
    assert source.info().taken_as == ("taken as classes: bus, train, unlabelled",)


def test_another_meaning_of_the_same_files_is_another_source(tmp_path, write_files):
    write_files(tmp_path, {"cat/1.jpg": b"", "unlabelled/1.jpg": b""})
    automatic, classes = (
        build_source("folder", path=tmp_path, first_folders=chosen).info().fingerprint
        for chosen in ("auto", "classes")
    )
    assert automatic != classes


def test_a_group_is_found_in_the_key(tmp_path, write_files):
    keys = ["cat/ann_1.jpg", "dog/ann_2.jpg", "dog/bob_1.jpg", "dog/3.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    source = build_source("folder", path=tmp_path, group_pattern=r"/(\w+)_")
    groups = {key: item.group for key, item in read_all(source).items()}
    assert groups == dict(zip(keys, ["ann", "ann", "bob", None], strict=True))
    assert source.info().fingerprint != build_source("folder", path=tmp_path).info().fingerprint


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"group_pattern: '\(' is no regular expression \(missing \)"),
        ("a", r"group_pattern: expected .* with one group.* received 'a' with 0"),
        ("(a)(b)", "with 2"),
    ],
)
def test_a_bad_group_pattern_is_refused(tmp_path, pattern, message):
    with pytest.raises(DataError, match=message):
        build_source("folder", path=tmp_path, group_pattern=pattern)


def test_other_files_are_counted_and_ignored(tmp_path, write_files, image_bytes):
    image = image_bytes(0)
    others = ["a/readme.txt", ".hidden/1.jpg", "a/.thumb.jpg", "__MACOSX/a/1.jpg"]
    write_files(tmp_path, dict.fromkeys(["a/1.jpg", *others], image))
    source = build_source("folder", path=tmp_path)
    assert list(read_all(source)) == ["a/1.jpg"]
    assert source.info().ignored == 4


def test_files_that_can_be_converted_are_read_where_they_are(tmp_path, write_files):
    write_files(tmp_path, dict.fromkeys(["a/1.JPG", "a/1.gif", "a/1.svg"], b""))
    source = FolderSettings(path=(str(tmp_path),)).build(convertible=True)
    assert sorted(read_all(source)) == ["a/1.JPG", "a/1.gif"]
    assert source.info().ignored == 1


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


@pytest.mark.parametrize("kind", ["directory", "zip", "tar", "tar.gz"])
def test_a_folder_may_lie_in_a_bucket(containers, class_files, to_bucket, kind):
    path = to_bucket(containers[kind], "test-folder")
    assert path.startswith("memory://")
    source = build_source("folder", path=path)
    local = build_source("folder", path=containers[kind])
    assert {key: item.image for key, item in read_all(source).items()} == class_files
    assert list(read_all(source)) == list(read_all(local))
    assert source.info().class_names == ("cat", "dog", "frog")
    assert build_source("folder", path=f"{path}/").info() == source.info()


def test_a_file_that_changes_in_a_bucket_changes_its_identity_alone(to_bucket, tmp_path):
    (tmp_path / "files").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "files" / name).write_bytes(b"1")
    path = to_bucket(tmp_path / "files", "test-change")
    before = content_ids(path)
    assert content_ids(path) == before
    fsspec.filesystem("memory").pipe_file("/test-change/files/a.jpg", b"2")
    assert changed(before, content_ids(path)) == ["a.jpg"]


def test_a_checksum_tells_contents_apart_before_a_time_does(monkeypatch):
    def listed(**marks):
        class Bucket:
            def ls(self, folder, detail):
                return [{"name": "bucket/a.jpg", "type": "file", "size": 1, **marks}]

        monkeypatch.setattr(files, "file_system", lambda path: (Bucket(), "bucket/"))
        return list(files.walk("gs://bucket"))

    assert listed(md5Hash="abc", mtime=1) == listed(md5Hash="abc", mtime=2)
    assert listed(md5Hash="abc", mtime=1) != listed(md5Hash="abd", mtime=1)
    assert listed(mtime=1) != listed(mtime=2)


def test_what_is_not_in_a_bucket_is_named():
    with pytest.raises(DataError, match="no such file or folder: memory://nowhere/x"):
        build_source("folder", path="memory://nowhere/x")
    with pytest.raises(DataError, match=r"nothing://x/y"):
        build_source("folder", path="nothing://x/y")


@pytest.mark.parametrize("kind", ["directory", "zip", "tar", "tar.gz"])
def test_what_is_not_wanted_is_not_read(tmp_path, containers, kind):
    path = tmp_path / f"images.{kind}"
    (shutil.copytree if kind == "directory" else shutil.copy)(containers[kind], path)
    source = build_source("folder", path=path)
    tasks = list(source.tasks(25))
    items = [item for task in tasks for item in source.read(task, nothing)]
    (shutil.rmtree if kind == "directory" else os.unlink)(path)
    again = [item for task in tasks for item in source.read(task, nothing)]
    assert again == items
    assert len(items) == 60
    assert {(item.image, item.problem) for item in items} == {(b"", None)}


def test_a_directory_is_read_in_sorted_order(tmp_path, write_files):
    keys = ["b.jpg", "c/2.jpg", "c/10.jpg", "a/1.jpg", "d.jpg"]
    write_files(tmp_path, dict.fromkeys(keys, b""))
    expected = ["a/1.jpg", "b.jpg", "c/10.jpg", "c/2.jpg", "d.jpg"]
    assert list(read_all(build_source("folder", path=tmp_path))) == expected


def test_many_files_in_one_folder_come_in_the_same_order(tmp_path, write_files, monkeypatch):
    names = [f"{i:03d}.jpg" for i in range(60)]
    write_files(tmp_path, dict.fromkeys([*names, "030/x.jpg"], b""))
    expected = [*names[:30], "030/x.jpg", *names[30:]]
    assert list(read_all(build_source("folder", path=tmp_path))) == expected
    monkeypatch.setattr("twofold.components.data.sources.access.file_listing._FEW_ENTRIES", 7)
    assert list(read_all(build_source("folder", path=tmp_path))) == expected


def content_ids(path):
    source = build_source("folder", path=path)
    return {item.key: item.content_id for task in source.tasks(9) for item in source.read(task)}


def changed(first, second):
    return [key for key in first if first[key] != second[key]]


def test_a_file_that_changes_changes_its_identity_alone(tmp_path, write_files):
    write_files(tmp_path, {"a.jpg": b"1", "b.jpg": b"2"})
    os.utime(tmp_path / "a.jpg", ns=(0, 0))
    before = content_ids(tmp_path)
    assert content_ids(tmp_path) == before
    write_files(tmp_path, {"a.jpg": b"3"})
    assert changed(before, content_ids(tmp_path)) == ["a.jpg"]


def test_a_file_that_changes_while_it_is_prepared_cannot_be_read(tmp_path, write_files):
    write_files(tmp_path, {"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"})
    source = build_source("folder", path=tmp_path)
    tasks = list(source.tasks(10))
    write_files(tmp_path, {"a.jpg": b"longer"})
    (tmp_path / "b.jpg").unlink()
    items = [item for task in tasks for item in source.read(task)]
    assert [item.image for item in items] == [b"", b"", b"3"]
    assert items[0].problem == "the file has changed since it was listed"
    assert "No such file" in (items[1].problem or "")


def test_temporary_files_go_with_the_source(containers, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = build_source("folder", path=containers["directory"])
    assert list(tmp_path.iterdir()) == []
    tasks = source.tasks(7)
    first = next(tasks)
    assert len(list(tmp_path.iterdir())) == 1
    del source
    assert len([first, *tasks]) == 9
    del tasks
    assert list(tmp_path.iterdir()) == []


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match=f"no such file or folder: {tmp_path}/nowhere"):
        build_source("folder", path=tmp_path / "nowhere")


def test_a_folder_without_images_is_refused(tmp_path, write_files):
    write_files(tmp_path, {"notes.txt": b"x"})
    source = build_source("folder", path=tmp_path)
    with pytest.raises(DataError, match=r"no images in it.*\.jpg.*found 1 other files"):
        source.info()


def test_no_path_at_all_is_refused():
    with pytest.raises(DataError, match="at least one path"):
        build_source("folder", path=[])


def test_the_same_key_twice_is_refused(tmp_path, write_files, image_bytes):
    for name in ("one", "two"):
        write_files(tmp_path / name, {"cat/1.jpg": image_bytes(0)})
    with pytest.raises(DataError, match=r"2 images have the key 'cat/1\.jpg'"):
        build_source("folder", path=[tmp_path / "one", tmp_path / "two"]).info()
