import gzip
import os
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.data.sources import build_source
from twofold.components.data.sources import label_names as layout
from twofold.components.errors import DataError


@pytest.fixture
def write(tmp_path, write_files):
    """Writes files a.jpg, b.jpg and c.jpg, and a table of these lines beside them."""

    def written(*lines, name="images.csv"):
        write_files(tmp_path, {"a.jpg": b"1", "b.jpg": b"22", "c.jpg": b"333"})
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return written


def read_all(source):
    return [item for task in source.tasks(2) for item in source.read(task)]


def listed(path, **settings):
    return read_all(build_source("listing", path=path, **settings))


def test_rows_are_items(listings, containers, class_files):
    for path in listings.values():
        source = build_source("listing", path=path, root=containers["directory"])
        items = read_all(source)
        assert {item.key: item.image for item in items} == class_files
        assert source.info().class_names == ("cat", "dog", "frog")
        assert source.info().weighted
        for i, item in enumerate(items):
            assert item.label == i // 20
            assert item.split == ("train", None, "validation")[i % 3]
            assert item.group == (f"camera {i % 7}" if i % 3 else None)
            assert item.weight == 0.5 + i


def test_csv_and_parquet_are_the_same_source(listings, containers):
    first, second = (
        build_source("listing", path=path, root=containers["directory"])
        for path in listings.values()
    )
    assert first.info() == second.info()
    assert list(first.tasks(9)) == list(second.tasks(9))


def test_a_path_alone_is_enough(write):
    source = build_source("listing", path=write("path", "c.jpg", "a.jpg"))
    assert [(item.key, item.image) for item in read_all(source)] == [
        ("c.jpg", b"333"),
        ("a.jpg", b"1"),
    ]
    info = source.info()
    assert (info.class_names, info.items, info.weighted) == ((), 2, False)


def test_columns_can_be_named(write):
    path = write("file,kind,part,who,often,id", "a.jpg,x,test,ann,2,first", "b.jpg,,,,0.5,second")
    names = ("image", "label", "split", "group", "weight", "key")
    columns = ("file", "kind", "part", "who", "often", "id")
    settings = {f"{name}_field": column for name, column in zip(names, columns, strict=True)}
    first, second = listed(path, **settings)
    assert (first.key, first.image, first.label) == ("first", b"1", 0)
    assert (first.split, first.group, first.weight) == ("test", "ann", 2.0)
    assert (second.key, second.image, second.label) == ("second", b"22", -1)
    assert (second.split, second.group, second.weight) == (None, None, 0.5)


def test_paths_are_relative_absolute_or_in_a_bucket(tmp_path, write, to_bucket):
    path = write("path", "a.jpg", f"{tmp_path}/b.jpg")
    bucket = to_bucket(tmp_path / "c.jpg", "test-listing")
    path.write_text(f"{path.read_text()}{bucket}\n")
    assert [item.image for item in listed(path)] == [b"1", b"22", b"333"]
    moved = shutil.copy(path, tmp_path.parent / f"{tmp_path.name}.csv")
    assert [item.image for item in listed(moved, root=tmp_path)] == [b"1", b"22", b"333"]


def test_all_of_it_may_lie_in_a_bucket(write, to_bucket):
    path = write("path,label", "a.jpg,x", "b.jpg,y", "lost.jpg,x")
    to_bucket(path.parent, "test-listing")
    remote = f"memory://test-listing/{path.parent.name}/images.csv"
    items = listed(remote)
    assert [(item.key, item.image) for item in items[:2]] == [("a.jpg", b"1"), ("b.jpg", b"22")]
    assert items[2].problem
    assert [item.label for item in items] == [0, 1, 0]


def test_a_compressed_table_is_read(tmp_path, write):
    path = write("path,label", "a.jpg,x", "b.jpg,y")
    packed = tmp_path / "images.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert listed(packed) == listed(path)


def test_unlabelled_rows_have_no_label(write):
    path = write("path,label,split", "a.jpg,x,unlabelled", "b.jpg,y,", "c.jpg,,unlabeled")
    source = build_source("listing", path=path)
    assert source.info().class_names == ("y",)
    assert [(item.label, item.split) for item in read_all(source)] == [
        (-1, "unlabelled"),
        (0, None),
        (-1, "unlabelled"),
    ]


def test_a_label_called_unlabelled_is_none_unless_it_is_a_class(write):
    path = write("path,label", "a.jpg,x", "b.jpg,UNLABELED", "c.jpg,unlabelled")
    source = build_source("listing", path=path)
    assert [item.label for item in read_all(source)] == [0, -1, -1]
    assert source.info().taken_as == (
        "taken as classes: x",
        "taken as images without a label: label UNLABELED",
        "taken as images without a label: label unlabelled",
    )
    named = build_source("listing", path=path, class_names=["UNLABELED", "unlabelled", "x"])
    assert [item.label for item in read_all(named)] == [2, 0, 1]


def test_a_split_may_be_written_as_other_tools_do(write):
    path = write("path,split", "a.jpg,Train", "b.jpg,valid", "c.jpg,TESTING")
    assert [item.split for item in listed(path)] == ["train", "validation", "test"]


def test_whole_numbers_are_labels(tmp_path, write):
    path = write("path,label", "a.jpg,2", "b.jpg,0", "c.jpg,-1")
    source = build_source("listing", path=path)
    assert source.info().class_names == ("0", "1", "2")
    assert [item.label for item in read_all(source)] == [2, 0, -1]
    named = build_source("listing", path=path, class_names=["ape", "bee", "cow"])
    assert named.info().class_names == ("ape", "bee", "cow")
    assert [item.label for item in read_all(named)] == [2, 0, -1]
    assert named.info().fingerprint != source.info().fingerprint
    columns = {"path": ["a.jpg", "b.jpg"], "label": pa.array([1, None], pa.int8())}
    pq.write_table(pa.table(columns), tmp_path / "images.parquet")
    assert [item.label for item in listed(tmp_path / "images.parquet")] == [1, -1]


def test_class_names_give_the_order_of_names(write):
    path = write("path,label", "a.jpg,cow", "b.jpg,ape")
    source = build_source("listing", path=path, class_names=["cow", "bee", "ape"])
    assert [item.label for item in read_all(source)] == [0, 2]


LABELS = st.sampled_from(["cat", "dog", "1", "2", "10", "01", "-1", "0"])


@given(st.sets(LABELS), st.sampled_from([(), ("0", "1", "10", "2"), ("cat", "dog")]))
def test_labels_are_numbered(found, class_names):
    numbers = found <= {"-1", "0", "1", "2", "10"} and class_names != ("0", "1", "10", "2")
    known = range(len(class_names)) if numbers else class_names
    if class_names and any(
        (int(text) not in (-1, *known)) if numbers else (text not in known) for text in found
    ):
        with pytest.raises(DataError, match="the field: expected"):
            layout.number_classes(found, class_names, "the field")
        return
    names, labels = layout.number_classes(found, class_names, "the field")
    assert set(labels) >= found
    for text in found:
        assert labels[text] == (int(text) if numbers else names.index(text))
    if not class_names:
        counted = range(max(map(int, found), default=-1) + 1) if numbers else ()
        assert names == (tuple(map(str, counted)) if numbers else tuple(sorted(found)))


def test_a_missing_file_is_an_item_with_a_problem(write):
    path = write("path", "a.jpg", "lost.jpg", "b.jpg")
    source = build_source("listing", path=path)
    tasks = list(source.tasks(5))
    (path.parent / "b.jpg").write_bytes(b"changed")
    items = [item for task in tasks for item in source.read(task)]
    assert [item.image for item in items] == [b"1", b"", b""]
    assert "No such file" in (items[1].problem or "")
    assert items[2].problem == "the file has changed since it was listed"


def test_the_content_id_follows_the_file_and_its_path(write):
    path = write("path,key", "a.jpg,one", "b.jpg,two")
    before = {item.key: item.content_id for item in listed(path)}
    assert {item.key: item.content_id for item in listed(path)} == before
    os.utime(path.parent / "a.jpg", ns=(0, 0))
    after = {item.key: item.content_id for item in listed(path)}
    assert (after["one"] != before["one"], after["two"] != before["two"]) == (True, False)
    for name in ("a.jpg", "b.jpg"):
        (path.parent / name).write_bytes(b"1")
        os.utime(path.parent / name, ns=(0, 0))
    alike = {item.key: item.content_id for item in listed(path)}
    path.write_text("path,key\na.jpg,two\nb.jpg,one\n")
    swapped = {item.key: item.content_id for item in listed(path)}
    assert all(alike[key] != swapped[key] for key in ("one", "two"))


def test_what_is_not_wanted_is_not_read(write):
    path = write("path,label", "a.jpg,x", "b.jpg,y")
    source = build_source("listing", path=path)
    tasks = list(source.tasks(5))
    for name in ("a.jpg", "b.jpg"):
        (path.parent / name).unlink()
    items = [item for task in tasks for item in source.read(task, lambda *_: False)]
    assert [(item.key, item.image, item.problem) for item in items] == [
        ("a.jpg", b"", None),
        ("b.jpg", b"", None),
    ]


@pytest.mark.parametrize(
    ("lines", "settings", "message"),
    [
        (["file", "a.jpg"], {}, r"no column 'path' \(image_field\); present: file$"),
        (["path", "a.jpg"], {"label_field": "kind"}, r"no column 'kind' \(label_field\)"),
        (["path", "a.jpg", '""'], {}, r"row 2: column 'path': expected text, received ''"),
        (["path,key", "a.jpg,x", "b.jpg,"], {}, r"row 2: column 'key': expected text"),
        (["path,weight", "a.jpg,1", "b.jpg,0"], {}, r"row 2: column 'weight': .* received '0'"),
        (["path,weight", "a.jpg,-1"], {}, r"row 1: column 'weight': expected a finite number abo"),
        (["path,weight", "a.jpg,inf"], {}, "received 'inf'"),
        (["path,weight", "a.jpg,nan"], {}, "received 'nan'"),
        (["path,weight", "a.jpg,"], {}, "received ''"),
        (["path,w", "a.jpg,much"], {"weight_field": "w"}, r"column 'w': .* received 'much'"),
        (["path,split", "a.jpg,train", "b.jpg,dev"], {}, r"row 2: column 'split': .*'dev'"),
        (["path", "a.jpg", "b.jpg", "a.jpg"], {}, r"rows 1 and 3: column 'path': .*'a\.jpg' 2 tim"),
        (["path,key", "a.jpg,x", "b.jpg,x"], {}, r"rows 1 and 2: column 'key': .* received 'x'"),
        (["path,label", "a.jpg,7"], {"class_names": ["x"]}, r"column 'label': .* from 0 to 0 .* 7"),
        (["path,label", "a.jpg,z"], {"class_names": ["x"]}, r"class names x, received 'z'"),
        (["path,label", "a.jpg,1000000000"], {}, r"received 1000000000 to 1000000000"),
        (["path"], {}, "no rows in it"),
        (["path,label", "a.jpg"], {}, r"no readable table .*Expected 2 columns, got 1"),
        ([""], {}, "no readable table .*mpty CSV"),
    ],
)
def test_bad_tables_are_described(write, lines, settings, message):
    path = write(*lines)
    with pytest.raises(DataError, match=message) as caught:
        build_source("listing", path=path, **settings).info()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"path": ["a.jpg"], "weight": [None]}, r"row 1: column 'weight': .*received ''"),
        ({"path": ["a.jpg"], "weight": [float("nan")]}, "received nan"),
        ({"path": ["a.jpg"], "label": [0.5]}, r"row 1: column 'label': .* whole numbers.* 0\.5"),
        ({"path": [["a.jpg"]]}, r"column 'path': expected text or numbers, received list"),
        ({"path": ["a.jpg", None]}, r"row 2: column 'path': expected text, received ''"),
    ],
)
def test_bad_columns_of_parquet_are_described(tmp_path, columns, message):
    path = tmp_path / "images.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError, match=message):
        build_source("listing", path=path).info()


def test_what_is_no_table_is_named(tmp_path, write):
    with pytest.raises(DataError, match=r"no such file: .*gone\.csv"):
        build_source("listing", path=tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"images\.txt: expected a file ending in \.csv"):
        build_source("listing", path=write("path", name="images.txt"))
    with pytest.raises(DataError, match=r"images\.parquet: no readable table"):
        build_source("listing", path=write("path", name="images.parquet"))
    with pytest.raises(DataError, match=r"images\.csv\.gz: no readable table"):
        build_source("listing", path=write("path", name="images.csv.gz"))


def test_rows_are_numbered_over_all_batches(write):
    rows = [f"{i}.jpg" for i in range(9001)]
    assert build_source("listing", path=write("path", *rows)).info().items == 9001
    with pytest.raises(DataError, match="row 9002: column 'path'"):
        build_source("listing", path=write("path", *rows, '""')).info()
    with pytest.raises(DataError, match="rows 1 and 9002: column 'path'"):
        build_source("listing", path=write("path", *rows, "0.jpg")).info()
