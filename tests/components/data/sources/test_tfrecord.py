import gzip

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.data.sources import build_source
from twofold.components.errors import DataError


@pytest.fixture
def write(tmp_path, write_records):
    return lambda *examples, name="images.tfrecord": write_records(tmp_path / name, examples)


def read_all(source, items=25):
    return [item for task in source.tasks(items) for item in source.read(task)]


def recorded(path, **settings):
    return read_all(build_source("tfrecord", path=path, **settings))


def test_files_of_a_pattern_are_read(record_files, class_files):
    keys = list(class_files)
    for form, pattern in record_files.items():
        source = build_source("tfrecord", path=pattern)
        items = read_all(source)
        parts = [("others", 2, None), ("train-0", 0, "train"), ("val-0", 1, "validation")]
        expected = [
            (f"{name}.{form}/{place:08d}", split, class_files[key], key.split("/")[0])
            for name, start, split in parts
            for place, key in enumerate(keys[start::3])
        ]
        names = source.info().class_names
        found = [(item.key, item.split, item.image, names[item.label]) for item in items]
        assert found == expected
        assert names == ("cat", "dog", "frog")


def test_what_tensorflow_writes_is_read(tmp_path, image_bytes):
    content = image_bytes(0)
    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[3])),
        "weight": tf.train.Feature(float_list=tf.train.FloatList(value=[0.25])),
        "patient": tf.train.Feature(int64_list=tf.train.Int64List(value=[17])),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    for name, compression in (("test-a.tfrecord", ""), ("test-b.tfrecord.gz", "GZIP")):
        path = tmp_path / name
        with tf.io.TFRecordWriter(str(path), compression) as writer:
            writer.write(example.SerializeToString())
        settings = {"weight_field": "weight", "group_field": "patient"}
        source = build_source("tfrecord", path=path, **settings)
        (item,) = read_all(source)
        assert item.image == content
        assert (item.label, item.split, item.group, item.weight) == (3, "test", "17", 0.25)
        assert source.info().class_names == ("0", "1", "2", "3")
        assert source.info().weighted


def test_fields_can_be_named(write):
    path = write(
        {"picture": b"1", "kind": "dog", "id": "x", "part": "val", "who": "ann", "often": 2},
        {"picture": b"2", "kind": "", "id": "y", "part": "", "who": "", "often": 0.5},
        {"picture": b"3", "kind": "cat", "id": "z", "part": "unlabelled", "often": 1.0},
        name="train.tfrecord",
    )
    names = ("image", "label", "key", "split", "group", "weight")
    fields = ("picture", "kind", "id", "part", "who", "often")
    settings = {f"{name}_field": field for name, field in zip(names, fields, strict=True)}
    source = build_source("tfrecord", path=path, **settings)
    assert source.info().class_names == ("dog",)
    found = [
        (item.key, item.image, item.label, item.split, item.group, item.weight)
        for item in read_all(source)
    ]
    assert found == [
        ("x", b"1", 0, "validation", "ann", 2.0),
        ("y", b"2", -1, None, None, 0.5),
        ("z", b"3", -1, "unlabelled", None, 1.0),
    ]


def test_a_label_called_unlabelled_is_none_unless_it_is_a_class(write):
    path = write({"image": b"1", "label": "dog"}, {"image": b"2", "label": "Unlabelled"})
    source = build_source("tfrecord", path=path)
    assert [item.label for item in read_all(source)] == [0, -1]
    assert source.info().taken_as == (
        "taken as classes: dog",
        "taken as images without a label: label Unlabelled",
    )
    named = build_source("tfrecord", path=path, class_names=["Unlabelled", "dog"])
    assert [item.label for item in read_all(named)] == [1, 0]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00008.tfrecord", "train"),
        ("validation.tfrecord", "validation"),
        ("val_3", "validation"),
        ("test.00001", "test"),
        ("unlabeled-1", "unlabelled"),
        ("train2017-1", "train"),
        ("training-1", "train"),
        ("Valid-1", "validation"),
        ("unsup-1", "unlabelled"),
        ("trainer-1", None),
        ("data-train-1", "train"),
        ("cifar10-test.tfrecord-00000-of-00001", "test"),
        ("imagenet_Val_3.tfrecord", "validation"),
        ("dev-00000-of-00001", "validation"),
        ("split_train_test.tfrecord", None),
        ("00001", None),
    ],
)
def test_a_word_of_a_files_name_says_its_split(write, name, split):
    path = write({"image": b"1"}, name=name)
    (item,) = recorded(path)
    assert item.split == split
    kind = "images without a label" if split == "unlabelled" else f"the {split} split"
    said = (f"taken as {kind}: {name}",) if split else ()
    assert build_source("tfrecord", path=path).info().taken_as == said


def test_numbers_are_labels_whatever_the_classes_are_called(write):
    path = write({"image": b"1", "label": 1}, {"image": b"2", "label": -1}, {"image": b"3"})
    source = build_source("tfrecord", path=path, class_names=["1", "2"])
    assert [item.label for item in read_all(source)] == [1, -1, -1]
    assert source.info().class_names == ("1", "2")


def test_several_paths_are_one_source(write):
    paths = [write({"image": name.encode()}, name=name) for name in ("b", "a", "c")]
    assert [item.image for item in recorded(paths)] == [b"b", b"a", b"c"]


@pytest.mark.parametrize("form", ["tfrecord", "tfrecord.gz"])
def test_files_may_lie_in_a_bucket(record_files, to_bucket, form):
    folder = to_bucket(record_files[form].parent, f"test-{form}")
    remote = build_source("tfrecord", path=f"{folder}/*")
    local = build_source("tfrecord", path=record_files[form])
    assert remote.info() == local.info()
    assert read_all(remote) == read_all(local)
    one = build_source("tfrecord", path=f"{folder}/train-0.{form}")
    assert one.info().items == 20


def test_more_compressed_files_than_are_kept_are_read(write):
    files = [write({"image": bytes([i])}, name=f"{i}.gz") for i in range(7)]
    source = build_source("tfrecord", path=files)
    tasks = list(source.tasks(1))
    found = [item.image for task in reversed(tasks) for item in source.read(task)]
    assert found == [bytes([i]) for i in reversed(range(7))]


def test_a_damaged_record_is_a_problem_of_its_image_alone(write):
    images = [np.random.default_rng(i).bytes(50) for i in range(3)]
    path = write(*({"image": image, "label": "x"} for image in images))
    content = path.read_bytes()
    place = content.index(images[1]) + 7
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    first, second, third = recorded(path)
    assert (first.image, third.image) == (images[0], images[2])
    assert second.image == b""
    assert "images.tfrecord: wrong checksum at byte" in second.problem
    assert (second.key, second.label) == ("images.tfrecord/00000001", -1)


def test_a_record_without_an_image_is_a_problem_of_its_own(write):
    path = write({"image": b"1"}, {"label": 2}, {"image": 7}, {"image": b""})
    problems = [item.problem for item in recorded(path)]
    assert problems == [
        None,
        "expected bytes in field 'image', found None",
        "expected bytes in field 'image', found 7",
        None,
    ]


@given(st.integers(1, 200))
def test_any_cut_is_noticed(tmp_path_factory, write_records, missing):
    path = tmp_path_factory.mktemp("cut") / "a.tfrecord"
    first = write_records(path, [{"image": b"1"}]).read_bytes()
    second = write_records(path, [{"image": b"22", "label": 1}]).read_bytes()
    content = (first + second)[:-missing]
    path.write_bytes(content)
    if content == first:
        assert build_source("tfrecord", path=path).info().items == 1
    else:
        message = "ends within the record at byte" if content else "no readable record"
        with pytest.raises(DataError, match=message):
            build_source("tfrecord", path=path).info()


def test_a_file_that_changes_while_it_is_prepared_is_noticed(write):
    source = build_source("tfrecord", path=write({"image": b"1"}, {"image": b"2"}))
    tasks = list(source.tasks(5))
    write({"image": b"3"})
    problems = [item.problem or "" for task in tasks for item in source.read(task)]
    assert "changed while it was being prepared" in problems[0]
    assert "wrong checksum" in problems[1]


def test_the_content_id_follows_the_record(write):
    path = write({"image": b"1"}, {"image": b"2"})
    before = [item.content_id for item in recorded(path)]
    write({"image": b"1"}, {"image": b"3"})
    after = [item.content_id for item in recorded(path)]
    assert before[0] == after[0]
    assert before[1] != after[1]
    write({"image": b"1", "other": b"2"})
    first, second = (recorded(path, image_field=field) for field in ("image", "other"))
    assert first[0].content_id != second[0].content_id


@pytest.mark.parametrize("name", ["images.tfrecord", "images.tfrecord.gz"])
def test_what_is_not_wanted_is_not_read(write, name):
    path = write({"image": b"1", "label": "x"}, {"image": b"2", "label": "y"}, name=name)
    source = build_source("tfrecord", path=path)
    tasks = list(source.tasks(5))
    path.unlink()
    items = [item for task in tasks for item in source.read(task, lambda *_: False)]
    assert [(item.image, item.label, item.problem) for item in items] == [
        (b"", 0, None),
        (b"", 1, None),
    ]


@pytest.mark.parametrize(
    ("example", "settings", "message"),
    [
        ({"jpeg": b"1"}, {}, r"no field 'image' or 'image/encoded' .*\(image_field\), of jpeg$"),
        ({"image": b"1"}, {"image_field": "jpeg"}, r"no field 'jpeg' \(image_field\).*: image$"),
        ({"image": b"1"}, {"weight_field": "w"}, r"no field 'w' \(weight_field\)"),
        ({"image": b"1", "w": 0.0}, {"weight_field": "w"}, r"record 2: field 'w': .* 0, rec"),
        ({"image": b"1", "w": b"x"}, {"weight_field": "w"}, r"record 2: field 'w'.* b'x'"),
        ({"image": b"1", "s": "dev"}, {"split_field": "s"}, r"record 2: field 's': .*'dev'"),
        ({"image": b"1", "k": "a"}, {"key_field": "k"}, r"2 images have the key 'a' .*of 'k' in"),
        ({"image": b"1", "label": 5}, {"class_names": ["a"]}, r"field 'label': .*0 to 0.* 5"),
    ],
)
def test_bad_fields_are_described(write, example, settings, message):
    good = {"w": 1.0, "s": "train", "k": "a", "label": 0}
    first = {name: good.get(name, value) for name, value in example.items()}
    path = write(first, example)
    with pytest.raises(DataError, match=message) as caught:
        build_source("tfrecord", path=path, **settings).info()
    assert str(path) in str(caught.value)


def test_files_of_one_name_need_a_key_field(tmp_path, write_records):
    paths = [tmp_path / folder / "1.tfrecord" for folder in ("a", "b")]
    for i, path in enumerate(paths):
        path.parent.mkdir()
        write_records(path, [{"image": b"1", "id": str(i)}])
    with pytest.raises(DataError, match=r"key '1\.tfrecord/00000000' .*or a key_field"):
        build_source("tfrecord", path=paths).info()
    assert [item.key for item in recorded(paths, key_field="id")] == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tfrecord", b"no records at all", "record at byte 0 has a damaged length; no TFRecord"),
        ("a.tfrecord", b"", "no readable record in it"),
        ("a.tfrecord.gz", b"not compressed", "cannot be decompressed, and may be damaged"),
        ("a.tfrecord.gz", gzip.compress(b"x" * 99, mtime=0)[:-5], "cannot be decompressed"),
    ],
)
def test_what_is_no_tfrecord_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        build_source("tfrecord", path=path)


def test_records_of_something_else_are_refused(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff no message")
    with pytest.raises(DataError, match=r"record at byte 0 is no tf\.train\.Example"):
        build_source("tfrecord", path=path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing matches it: .*gone/\*"):
        build_source("tfrecord", path=tmp_path / "gone" / "*")
    with pytest.raises(DataError, match=r"nothing matches it: memory://gone/\*"):
        build_source("tfrecord", path="memory://gone/*")
    with pytest.raises(DataError, match="at least one path"):
        build_source("tfrecord", path=[])
