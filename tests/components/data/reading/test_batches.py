"""Batches of a split as a function of seed and step."""

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.data.splits import indices, joined, mixed_indices, partly_labelled, rows
from twofold.components.data.reading.reader import batches, mixed_batches
from twofold.components.data.reading.split import hash_of_key
from twofold.components.errors import DataError


def test_the_order_is_the_one_that_earlier_versions_drew():
    arguments = {"batch_size": 4, "seed": 7, "first_step": 1, "steps": 4, "replicas": 2}
    assert joined(indices(rows(11), **arguments)) == [
        *(4, 0, 1, 2),
        *(2, 7, 8, 6),
        *(9, 1, 5, 4),
        *(4, 6, 7, 5),
    ]
    split = partly_labelled(12, labelled=5)
    sizes = {"unlabelled_batch_size": 3, "labelled_batch_size": 2}
    unlabelled, labelled = mixed_indices(split, split, **sizes, seed=7, steps=3)
    assert unlabelled == [[7, 11, 8], [10, 9, 5], [7, 9, 5]]
    assert labelled == [[4, 2], [3, 1], [3, 4]]


def test_batches_hold_the_rows_they_name():
    split = rows(40)
    for batch in batches(split, batch_size=8, seed=1, first_step=0, steps=4).as_numpy_iterator():
        index = batch["index"]
        assert batch["image"].shape == (8, 2, 3, 1)
        np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], index)
        np.testing.assert_array_equal(batch["label"], index)
        assert batch["key"].tolist() == [f"key/{i}".encode() for i in index]
        assert batch["key_hash"].tolist() == [hash_of_key(f"key/{i}") for i in index]


def test_batches_have_static_shapes_and_types():
    spec = batches(rows(9), batch_size=4, seed=0, first_step=0, steps=1, replicas=2).element_spec
    assert spec["image"] == tf.TensorSpec([2, 2, 3, 1], tf.uint8)
    assert spec["label"] == tf.TensorSpec([2], tf.int32)
    assert spec["key"] == tf.TensorSpec([2], tf.string)
    assert spec["key_hash"] == tf.TensorSpec([2], tf.int64)
    assert spec["index"] == tf.TensorSpec([2], tf.int64)


@given(
    count=st.integers(1, 30),
    data=st.data(),
    seed=st.integers(0, 2**63 - 1),
    first_step=st.integers(0, 12),
)
@settings(max_examples=15, deadline=None)
def test_resuming_gives_the_rest_of_the_uninterrupted_run(count, data, seed, first_step):
    batch_size = data.draw(st.integers(1, count))
    split = rows(count)
    whole = indices(split, batch_size=batch_size, seed=seed, first_step=0, steps=14)
    steps = 14 - first_step
    rest = indices(split, batch_size=batch_size, seed=seed, first_step=first_step, steps=steps)
    assert rest == whole[first_step:]


@given(count=st.integers(1, 30), data=st.data(), seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_an_epoch_never_repeats_a_row(count, data, seed):
    batch_size = data.draw(st.integers(1, count))
    per_epoch = count // batch_size
    found = indices(
        rows(count), batch_size=batch_size, seed=seed, first_step=0, steps=2 * per_epoch
    )
    for epoch in (found[:per_epoch], found[per_epoch:]):
        seen = [index for batch in epoch for index in batch]
        assert len(set(seen)) == len(seen) == per_epoch * batch_size
        assert set(seen) <= set(range(count))


def test_epochs_and_seeds_are_in_different_orders():
    split = rows(200)
    whole = {"batch_size": 200, "steps": 3}
    epochs = indices(split, seed=0, first_step=0, **whole)
    orders = {tuple(order) for order in epochs + indices(split, seed=1, first_step=0, **whole)}
    assert len(orders) == 6
    assert all(sorted(order) == list(range(200)) for order in orders)


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_partition_the_same_global_batches(replicas):
    split = rows(50)
    common = {"batch_size": 12, "seed": 5, "first_step": 2, "steps": 7}
    alone = indices(split, **common)
    together = indices(split, replicas=replicas, **common)
    assert len(together) == 7 * replicas
    for step, batch in enumerate(alone):
        shares = together[step * replicas : (step + 1) * replicas]
        assert [index for share in shares for index in share] == batch
    for replica in range(replicas):
        fed = indices(split, replicas=replicas, replica_ids=[replica], **common)
        assert fed == together[replica::replicas]


def test_unshuffled_batches_are_in_order():
    found = indices(rows(10), batch_size=4, seed=0, first_step=1, steps=2, shuffle=False)
    assert found == [[4, 5, 6, 7], [0, 1, 2, 3]]


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(DataError, match="batch of 512 images, but split 'train' has 300"):
        batches(rows(300), batch_size=512, seed=0, first_step=0, steps=1)


def test_labelled_rows_alone_can_be_drawn():
    split = partly_labelled(20, 6)
    parts = list(
        batches(
            split, batch_size=3, seed=0, first_step=0, steps=2, labelled_only=True
        ).as_numpy_iterator()
    )
    drawn = np.concatenate([part["index"] for part in parts])
    assert sorted(drawn.tolist()) == np.flatnonzero(split.labels >= 0).tolist()
    with pytest.raises(DataError, match="batch of 7 labelled images, but split 'train' has 6"):
        batches(split, batch_size=7, seed=0, first_step=0, steps=1, labelled_only=True)


def test_a_batch_that_replicas_cannot_share_is_refused():
    with pytest.raises(DataError, match="batch of 9 images cannot be divided among 2 replicas"):
        batches(rows(10), batch_size=9, seed=0, first_step=0, steps=1, replicas=2)


def test_mixed_batches_hold_the_rows_they_name_labelled_images_last():
    split = partly_labelled(30, labelled=9)
    sizes: dict[str, Any] = {"unlabelled_batch_size": 6, "labelled_batch_size": 2}
    found = mixed_batches(split, split, **sizes, seed=1, first_step=0, steps=5)
    for batch in found.as_numpy_iterator():
        index = batch["index"]
        np.testing.assert_array_equal(batch["image"][:, 1, 2, 0], index)
        np.testing.assert_array_equal(batch["label"], split.labels[index])
        assert (batch["label"] >= 0).tolist() == [False] * 6 + [True] * 2
        assert batch["key"].tolist() == [f"key/{i}".encode() for i in index]
        assert batch["key_hash"].tolist() == [hash_of_key(f"key/{i}") for i in index]


def test_mixed_batches_have_the_shapes_and_types_of_batches():
    split = partly_labelled(9, labelled=4)
    mixed = mixed_batches(
        split,
        split,
        unlabelled_batch_size=4,
        labelled_batch_size=2,
        seed=0,
        first_step=0,
        steps=1,
        replicas=2,
    )
    plain = batches(rows(9), batch_size=3, seed=0, first_step=0, steps=1)
    assert mixed.element_spec == plain.element_spec


def test_each_stream_goes_through_its_rows_at_its_own_pace():
    split = partly_labelled(30, labelled=6)
    sizes = {"unlabelled_batch_size": 8, "labelled_batch_size": 2}
    unlabelled, labelled = mixed_indices(split, split, **sizes, steps=6)
    for epochs in (unlabelled[:3], unlabelled[3:]):
        assert sorted(joined(epochs)) == list(range(6, 30))
    for epochs in (labelled[:3], labelled[3:]):
        assert sorted(joined(epochs)) == list(range(6))
    sizes["labelled_batch_size"] = 6
    again, whole = mixed_indices(split, split, **sizes, steps=6)
    assert again == unlabelled
    assert all(sorted(epoch) == list(range(6)) for epoch in whole)
    assert len({tuple(epoch) for epoch in whole}) == 6


def test_the_streams_can_be_two_splits():
    unlabelled, labelled = partly_labelled(8, labelled=0, name="unlabelled"), rows(4)
    sizes = {"unlabelled_batch_size": 4, "labelled_batch_size": 2}
    found = mixed_indices(unlabelled, labelled, **sizes, steps=2)
    assert [sorted(joined(stream)) for stream in found] == [list(range(8)), list(range(4))]


def test_streams_of_one_length_are_in_different_orders():
    split = partly_labelled(200, labelled=100)
    sizes = {"unlabelled_batch_size": 100, "labelled_batch_size": 100}
    (unlabelled,), (labelled,) = mixed_indices(split, split, **sizes, steps=1)
    assert [row - 100 for row in unlabelled] != labelled


@given(seed=st.integers(0, 2**63 - 1), first_step=st.integers(0, 9))
@settings(max_examples=10, deadline=None)
def test_resuming_mixed_batches_gives_the_rest_of_the_uninterrupted_run(seed, first_step):
    split = partly_labelled(20, labelled=7)
    common = {"unlabelled_batch_size": 5, "labelled_batch_size": 2, "seed": seed}
    whole = mixed_indices(split, split, **common, steps=10)
    rest = mixed_indices(split, split, **common, first_step=first_step, steps=10 - first_step)
    assert rest == tuple(stream[first_step:] for stream in whole)


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_partition_the_same_mixed_batches(replicas):
    split = partly_labelled(60, labelled=20)
    common = {"unlabelled_batch_size": 12, "labelled_batch_size": 6, "first_step": 2, "steps": 7}
    alone = mixed_indices(split, split, **common)
    together = mixed_indices(split, split, **common, replicas=replicas)
    for whole, shares in zip(alone, together, strict=True):
        starts = range(0, 7 * replicas, replicas)
        assert [joined(shares[start : start + replicas]) for start in starts] == whole
    for replica in range(replicas):
        fed = mixed_indices(split, split, **common, replicas=replicas, replica_ids=[replica])
        assert fed == tuple(shares[replica::replicas] for shares in together)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelled_batch_size": 8}, "labelled_batch_size=8, but split 'train' has 7 labelled"),
        ({"unlabelled_batch_size": 14}, "unlabelled_batch_size=14, .*has 13 unlabelled"),
        ({"labelled_batch_size": 0}, "labelled_batch_size=0, but .*has 7 labelled images"),
        ({"unlabelled_batch_size": 5}, "unlabelled_batch_size=5 cannot be divided among 2"),
        ({"labelled_batch_size": 3}, "labelled_batch_size=3 cannot be divided among 2"),
    ],
)
def test_mixed_batches_that_cannot_be_made_are_refused(changes, message):
    split = partly_labelled(20, labelled=7)
    sizes = {"unlabelled_batch_size": 4, "labelled_batch_size": 2, **changes}
    with pytest.raises(DataError, match=message):
        mixed_batches(split, split, **sizes, seed=0, first_step=0, steps=1, replicas=2)


def test_splits_of_different_image_shapes_do_not_mix():
    wide = dataclasses.replace(rows(4, "wide"), images=np.zeros((4, 2, 4, 1), np.uint8))
    sizes: dict[str, Any] = {"unlabelled_batch_size": 2, "labelled_batch_size": 2}
    with pytest.raises(DataError, match=r"'wide' are \(2, 4, 1\); expected \(2, 3, 1\)"):
        mixed_batches(partly_labelled(4, 0), wide, **sizes, seed=0, first_step=0, steps=1)


def test_chosen_fields_alone_are_given():
    split = partly_labelled(20, labelled=8)
    chosen = ["key_hash", "image"]
    plain = batches(split, batch_size=4, seed=0, first_step=0, steps=1, fields=chosen)
    sizes: dict[str, Any] = {"unlabelled_batch_size": 2, "labelled_batch_size": 2}
    mixed = mixed_batches(split, split, **sizes, seed=0, first_step=0, steps=1, fields=chosen)
    for found in (plain, mixed):
        assert list(found.element_spec) == chosen
        (element,) = found.as_numpy_iterator()
        keys = [f"key/{row}" for row in element["image"][:, 0, 0, 0]]
        assert element["key_hash"].tolist() == [hash_of_key(key) for key in keys]


@pytest.mark.parametrize("chosen", [["image", "pixels"], []])
def test_unknown_fields_are_refused(chosen):
    with pytest.raises(DataError, match="some of image, label, key, key_hash, index, received"):
        batches(rows(9), batch_size=4, seed=0, first_step=0, steps=1, fields=chosen)


def test_an_array_that_is_held_is_not_written_to_again():
    split = rows(64)
    found = batches(split, batch_size=8, seed=2, first_step=0, steps=24)
    held = [(part["image"], part["index"]) for part in found.as_numpy_iterator()]
    for image, index in held:
        np.testing.assert_array_equal(image, split.images[index])


ABANDONED = """
import dataclasses, time
import numpy as np
from twofold.components.data.reading.reader import batches
from twofold.components.data.reading.row_streams import iterate
from tests.components.data.splits import rows

class Slow(np.ndarray):
    def take(self, *arguments, **options):
        time.sleep(0.2)
        return super().take(*arguments, **options)

split = rows(64)
split = dataclasses.replace(split, images=split.images.view(Slow))

def train():
    found = batches(split, batch_size=8, seed=0, first_step=0, steps=99)
    elements = iter(iterate(found))
    next(elements)
    raise SystemError("uncaught, with reads under way")

train()
"""


def test_a_program_that_leaves_its_batches_by_an_error_ends():
    command = [sys.executable, "-c", ABANDONED]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert "SystemError: uncaught" in ended.stderr


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_fills_no_batch_can_be_a_last_smaller_one(replicas: int) -> None:
    arguments: dict[str, Any] = {"batch_size": 4, "seed": 3, "replicas": replicas}
    found = indices(rows(10), **arguments, first_step=0, steps=6, keep_last=True)
    steps = [joined(found[i : i + replicas]) for i in range(0, len(found), replicas)]
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    for epoch in (steps[:3], steps[3:]):
        assert sorted(joined(epoch)) == list(range(10))
    # Whole batches are those that are drawn without it, and a run can be resumed at any step.
    dropped = indices(rows(10), **arguments, first_step=0, steps=2)
    assert dropped == found[: 2 * replicas]
    assert (
        indices(rows(10), **arguments, first_step=2, steps=4, keep_last=True)
        == found[2 * replicas :]
    )


def test_a_last_batch_can_be_the_only_one_and_needs_to_divide_among_the_replicas() -> None:
    arguments: dict[str, Any] = {"batch_size": 40, "seed": 3, "first_step": 0, "keep_last": True}
    found = indices(rows(10), **arguments, steps=2)
    assert [sorted(step) for step in found] == [list(range(10))] * 2
    with pytest.raises(DataError, match="batch of 10 images cannot be divided among 4 replicas"):
        batches(rows(10), **arguments, steps=1, replicas=4)


def test_a_last_batch_of_images_that_divides_is_no_smaller_one() -> None:
    arguments: dict[str, Any] = {"batch_size": 5, "seed": 3, "first_step": 0}
    split = rows(10)
    kept = batches(split, **arguments, steps=4, keep_last=True)
    assert kept.element_spec["image"].shape == (5, 2, 3, 1)
    assert indices(split, **arguments, steps=4, keep_last=True) == indices(
        split, **arguments, steps=4
    )
