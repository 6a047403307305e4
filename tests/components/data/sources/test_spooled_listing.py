"""The file that holds a listing while it is made into tasks."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.data.sources.access.spooled_listing import Repeated, Row, Spool, entries_of

TEXT = st.text(max_size=5)
ROWS = st.lists(
    st.builds(
        Row,
        key=st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        content_id=TEXT,
        container=st.integers(0, 9),
        location=st.binary(max_size=3),
        label=st.none() | TEXT,
        split=st.none() | TEXT,
        group=st.none() | TEXT,
        weight=st.floats(0.1, 9),
    ),
    max_size=12,
)


def unchanged(row):
    return len(row.label or ""), row.split


@given(ROWS, st.integers(1, 14), st.integers(1, 5))
def test_tasks_hold_all_rows_in_order(rows, items, batch):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twofold.components.data.sources.access.spooled_listing._ROWS", batch)
        spool = Spool(iter(rows), "")
    tasks = [entries_of(task) for task in spool.tasks(items, unchanged)]
    assert [len(task) for task in tasks[:-1]] == [items] * (len(tasks) - 1)
    assert spool.items == len(rows)
    found = [
        (
            *(entry.item.key, entry.item.content_id, entry.container, entry.location),
            *(entry.item.label, entry.item.split, entry.item.group, entry.item.weight),
        )
        for task in tasks
        for entry in task
    ]
    assert found == [(*row[:4], *unchanged(row), row.group, row.weight) for row in rows]


@given(ROWS)
def test_a_repeated_key_is_found(rows):
    counts = Counter(row.key for row in rows)
    found = Spool(rows, "").repeated
    if max(counts.values(), default=0) < 2:
        assert found is None
    else:
        assert found is not None
        places = [i for i, row in enumerate(rows) if row.key == found.key]
        assert found == Repeated(found.key, max(counts.values()), *places[:2])


def test_keys_of_one_hash_are_not_taken_for_the_same(monkeypatch):
    monkeypatch.setattr(
        "twofold.components.data.sources.access.spooled_listing.hash", lambda key: 7, raising=False
    )
    assert Spool([Row("a", ""), Row("b", "")], "").repeated is None
    again = Spool([Row("a", ""), Row("b", ""), Row("a", "")], "").repeated
    assert again == Repeated("a", 2, 0, 2)


@settings(max_examples=30)
@given(ROWS, ROWS)
def test_the_fingerprint_is_of_the_rows_and_not_of_their_places(first, second):
    def moved(rows):
        return [row._replace(container=0, location=b"elsewhere") for row in rows]

    fingerprints = Spool(first, "").fingerprint, Spool(second, "").fingerprint
    assert (fingerprints[0] == fingerprints[1]) == (moved(first) == moved(second))
    assert Spool(moved(first), "").fingerprint == fingerprints[0]
    assert Spool(first, "another").fingerprint != fingerprints[0]
