import pyarrow.parquet as pq
import pytest

from tests.components.data.handmade import entries, write_dataset
from tests.components.pages.dataset_pages import COLUMNS, content, notes, with_labels
from twofold.components.data.store.manifest import IMAGES_FILE, DuplicateRecord, load_manifest
from twofold.components.pages.dataset_page import render_report


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "dataset"
    write_dataset(path, entries(60, 2))
    return path


@pytest.fixture(scope="module")
def manifest(directory):
    return load_manifest(directory)


@pytest.fixture(scope="module")
def table(directory, manifest):
    return pq.read_table(directory / IMAGES_FILE, columns=COLUMNS)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"a": 10, "b": 10}, []),
        ({"a": 100, "b": 10}, []),
        ({"a": 101, "b": 10}, ["train is unbalanced: a (101 images) has 10 times"]),
        ({"a": 9, "b": 10}, ["1 class with fewer than 10 training images: a (9)."]),
        ({"a": 0, "b": 10}, ["1 class with fewer than 10 training images: a (0)."]),
        (
            {"a": 2, "b": 1, "c": 50},
            ["2 classes with fewer than 10 training images: a (2), b (1).", "train is unbalanced"],
        ),
    ],
)
def test_small_and_uneven_classes_are_said_in_words(manifest, table, labels, expected):
    held_out = dict.fromkeys(labels, 5)
    found = notes(with_labels(manifest, train=labels, test=held_out), table)

    relevant = [note for note in found if "Duplicates were not searched" not in note]
    assert len(relevant) == len(expected)
    for note, start in zip(relevant, expected, strict=True):
        assert note.startswith(start)


def test_many_small_classes_are_counted_and_a_few_named(manifest, table):
    labels = {f"class{n}": 1 for n in range(30)}

    (note, *_) = notes(with_labels(manifest, train=labels, test=labels), table)

    assert note.startswith("30 classes with fewer than 10 training images: class0 (1), ")
    assert "class7 (1) and 22 more." in note


def test_a_class_that_a_held_out_split_lacks_is_named(manifest, table):
    labels = {"a": 20, "b": 20}
    found = notes(with_labels(manifest, train=labels, test={"a": 5, "b": 0}), table)

    assert "test has no image of 1 class: b." in found


def alike(**changes):
    values = dict.fromkeys(("exact", "near", "leaked", "conflicting_labels"), 0)
    return DuplicateRecord(**{**values, "removed_within": 0, "removed_leaked": 0, **changes})


@pytest.mark.parametrize(
    ("duplicates", "expected"),
    [
        ({}, None),
        ({"leaked": None}, "Duplicates were not searched for"),
        ({"leaked": 3}, "3 training images resemble held-out images"),
        ({"leaked": 1}, "1 training image resembles a held-out image"),
        ({"leaked": 3, "removed_leaked": 2}, "1 training image resembles a held-out image"),
        ({"leaked": 3, "removed_leaked": 3}, None),
        ({"conflicting_labels": 2}, "2 images have the very pixels of one with another label"),
    ],
)
def test_leakage_that_stays_is_said(manifest, table, duplicates, expected):
    even = with_labels(manifest, train={"a": 20}, test={"a": 20})
    found = notes(even.model_copy(update={"duplicates": alike(**duplicates)}), table)

    assert [expected] == [note[: len(expected)] for note in found] if expected else not found


def test_where_nothing_stands_out_it_says_so(manifest, table):
    even = with_labels(manifest, train={"a": 20}, test={"a": 20})
    even = even.model_copy(update={"duplicates": alike()})

    assert "Nothing stands out" in render_report(content(even, table))
