"""Images that are read from shards and decoded on demand."""

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.data.handmade import entry, write_dataset
from twofold.components.data.reading.encoded_images import Decoding, EncodedImages
from twofold.components.data.reading.reader import batches, load_split, mixed_batches
from twofold.components.data.reading.record_index import Records
from twofold.components.data.reading.row_streams import iterate
from twofold.components.data.store.tf_example import frame
from twofold.components.errors import DataError

COUNT = 36


def decode(content):
    return tf.io.decode_png(content, channels=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """36 images in three shards, of which every third has no label."""
    directory = tmp_path_factory.mktemp("encoded") / "set"
    images = [entry(f"pets/{n:02d}", label=n % 3 - 1, weight=1.0 + n % 4) for n in range(COUNT)]
    write_dataset(directory, images, shards=3, weighted=True)
    return directory


@pytest.fixture(scope="module")
def load(folder):
    def load(cache, directory=folder):
        return load_split(directory, "train", decode=decode, cache=cache, size=(6, 5), channels=3)

    return load


@pytest.fixture(scope="module")
def both(load):
    """The same split encoded and decoded."""
    return load("off"), load("memory")


INDICES = st.one_of(
    st.integers(-COUNT, COUNT - 1),
    st.slices(COUNT),
    st.lists(st.integers(-COUNT, COUNT - 1), max_size=20).map(
        lambda rows: np.array(rows, np.int64)
    ),
    st.lists(st.integers(0, COUNT - 1), min_size=6, max_size=6).map(
        lambda rows: np.array(rows, np.int32).reshape(2, 3)
    ),
    st.lists(st.booleans(), min_size=COUNT, max_size=COUNT).map(np.array),
)


@given(index=INDICES)
@settings(max_examples=40, deadline=None)
def test_encoded_images_are_indexed_as_an_array_is(both, index):
    encoded, decoded = both
    found = encoded.images[index]
    np.testing.assert_array_equal(found, decoded.images[index])
    assert found.dtype == np.uint8


def test_encoded_images_look_like_an_array(both):
    encoded, decoded = both
    assert isinstance(encoded.images, EncodedImages)
    assert encoded.images.shape == decoded.images.shape
    assert encoded.images.dtype == decoded.images.dtype
    assert len(encoded.images) == COUNT
    # It is iterated by its items, which type checkers do not take for an iterable.
    by_items: Any = encoded.images
    np.testing.assert_array_equal(np.stack(list(by_items)), decoded.images)
    out = np.zeros((2, 6, 5, 3), np.uint8)
    assert encoded.images.take(np.array([3, 1]), axis=0, out=out) is out
    np.testing.assert_array_equal(out, decoded.images[[3, 1]])


@pytest.mark.parametrize("index", [COUNT, -COUNT - 1, [0, COUNT], 1.5, "a", None, (1, 2)])
def test_an_index_that_names_no_row_is_refused(both, index):
    with pytest.raises(IndexError, match="received"):
        both[0].images[index]


def elements(split, first_step=0, steps=5, **arguments):
    found = batches(split, batch_size=12, seed=3, first_step=first_step, steps=steps, **arguments)
    return list(found.as_numpy_iterator())


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("sampling", ["uniform", "balanced", "weighted"])
def test_streamed_batches_are_those_of_the_cache(both, sampling):
    encoded, decoded = both
    whole = elements(decoded, sampling=sampling)
    assert_same(elements(encoded, sampling=sampling), whole)
    assert_same(elements(encoded, first_step=3, steps=2, sampling=sampling), whole[3:])
    shares = elements(encoded, replicas=3, replica_ids=[1], sampling=sampling)
    assert_same(shares, [{n: v[4:8] for n, v in element.items()} for element in whole])


def test_streamed_batches_have_static_shapes(both):
    arguments: dict[str, Any] = {"batch_size": 4, "seed": 0, "first_step": 0, "steps": 1}
    encoded, decoded = (batches(split, **arguments).element_spec for split in both)
    assert encoded == decoded


@given(data=st.data(), seed=st.integers(0, 2**63 - 1), first_step=st.integers(0, 30))
@settings(max_examples=6, deadline=None)
@pytest.mark.parametrize("kinds", [(0, 0), (1, 1), (0, 1)], ids=["streamed", "cached", "both"])
def test_slices_of_replicas_and_workers_cover_each_step_once(both, kinds, data, seed, first_step):
    replicas = data.draw(st.sampled_from([1, 2, 4]))
    workers = data.draw(st.sampled_from([n for n in (1, 2, 4) if replicas % n == 0]))
    common = {
        "unlabelled_batch_size": replicas * data.draw(st.integers(1, 3)),
        "labelled_batch_size": replicas * data.draw(st.integers(1, 3)),
        "seed": seed,
        "sampling": data.draw(st.sampled_from(["uniform", "balanced", "weighted"])),
        "fields": ["image", "index"],
    }
    streams = [both[kind] for kind in kinds]
    whole = list(
        mixed_batches(both[1], both[1], first_step=0, steps=first_step + 2, **common)
        .skip(first_step)
        .as_numpy_iterator()
    )
    local = replicas // workers
    fed = [
        list(
            mixed_batches(
                *streams,
                first_step=first_step,
                steps=2,
                replicas=replicas,
                replica_ids=range(worker * local, (worker + 1) * local),
                **common,
            ).as_numpy_iterator()
        )
        for worker in range(workers)
    ]
    unlabelled = common["unlabelled_batch_size"] // replicas
    for step, expected in enumerate(whole):
        shares = [part for each in fed for part in each[step * local : (step + 1) * local]]
        assert len(shares) == replicas
        for name, values in expected.items():
            # A replica's unlabelled images come first.
            first = [share[name][:unlabelled] for share in shares]
            last = [share[name][unlabelled:] for share in shares]
            np.testing.assert_array_equal(np.concatenate(first + last), values, err_msg=name)


@given(seed=st.integers(0, 2**31), replicas=st.sampled_from([1, 2, 3, 6]))
@settings(max_examples=5, deadline=None)
@pytest.mark.parametrize("kind", [0, 1], ids=["streamed", "cached"])
def test_an_epoch_of_all_workers_holds_each_image_once(both, kind, seed, replicas):
    drawn = [
        row
        for replica in range(replicas)
        for element in elements(
            both[kind], steps=3, replicas=replicas, replica_ids=[replica], fields=["index", "image"]
        )
        for row in element["index"].tolist()
    ]
    assert sorted(drawn) == list(range(COUNT))


def test_every_flipped_byte_is_found_and_named(tmp_path, folder):
    content = (folder / "train-00000-of-00003.tfrecord").read_bytes()
    path = tmp_path / "shard"
    path.write_bytes(content)
    lengths, offset = [], 0
    while offset < len(content):
        lengths.append(16 + int.from_bytes(content[offset : offset + 8], "little"))
        offset += lengths[-1]
    count = len(lengths)
    offsets = np.cumsum([0, *lengths])
    records = Records(
        files=(str(path),),
        shard=np.zeros(count, np.int32),
        offset=offsets[:-1],
        length=np.array(lengths, np.int32),
        keys=np.array([f"key {n}" for n in range(count)]),
    )
    assert b"".join(frame(each) for each in records.read(np.arange(count))) == content
    with path.open("r+b") as file:
        for place in range(0, len(content), 3):
            file.seek(place)
            file.write(bytes([content[place] ^ 1 << place % 8]))
            file.flush()
            number = np.searchsorted(offsets, place, side="right") - 1
            with pytest.raises(DataError, match=f"shard is damaged: .* image 'key {number}'"):
                records.read(np.arange(count))
            file.seek(place)
            file.write(content[place : place + 1])
        file.truncate(len(content) - 1)
    with pytest.raises(DataError, match=f"image 'key {count - 1}'"):
        records.read(np.arange(count))


@pytest.fixture
def damaged(tmp_path, folder, load):
    """A split whose first shard was damaged after it was opened."""
    directory = tmp_path / "set"
    directory.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            (directory / path.name).write_bytes(path.read_bytes())
    split = load("off", directory)
    shard = next(directory.glob("train-00000-*"))
    with shard.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff\x00\xff")
    return split


MESSAGE = r"train-00000-of-00003\.tfrecord is damaged: the record of image 'pets/\d\d', \d+ bytes"


def test_a_damaged_record_is_named_where_batches_are_gone_through(damaged):
    with pytest.raises(DataError, match=MESSAGE) as raised:
        list(iterate(batches(damaged, batch_size=36, seed=0, first_step=0, steps=1)))
    assert str(raised.value).endswith("in an empty folder mends it")


def test_a_damaged_record_is_named_where_batches_are_distributed(damaged):
    strategy = tf.distribute.get_strategy()
    spread = strategy.distribute_datasets_from_function(
        lambda context: batches(damaged, batch_size=36, seed=0, first_step=0, steps=1)
    )
    with pytest.raises(DataError, match=MESSAGE):
        list(iterate(spread))


def test_a_damaged_record_is_named_where_images_are_indexed(damaged):
    with pytest.raises(DataError, match=MESSAGE):
        damaged.images[:]


def test_another_error_of_tensorflow_is_left_as_it_is():
    failing = tf.data.Dataset.from_tensors(b"no image").map(decode)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(iterate(failing))


def test_an_image_that_cannot_be_decoded_is_named(tmp_path, load, monkeypatch):
    images = [entry(f"pets/{n:02d}") for n in range(3)]
    monkeypatch.setattr("tests.components.data.handmade.encode", lambda pixels: b"no image")
    write_dataset(tmp_path / "set", images)
    with pytest.raises(DataError, match=r"train-0000\d-\S+: image 'pets/0\d' could not be decoded"):
        load("off", tmp_path / "set")


def test_a_shard_that_is_gone_is_named(tmp_path):
    shard, offset, length = np.zeros((3, 1), np.int64)
    nowhere = Records((str(tmp_path / "gone"),), shard, offset, length, np.array(["a"]))
    with pytest.raises(DataError, match=r"gone cannot be read: No such file"):
        nowhere.read(np.array([0]))


def test_many_shards_need_few_open_files(tmp_path):
    framed, open_files = frame(b"content"), Path("/proc/self/fd")
    files = []
    for number in range(300):
        files.append(str(tmp_path / str(number)))
        (tmp_path / str(number)).write_bytes(framed)
    numbers = np.arange(300)
    lengths = np.full(300, len(framed))
    records = Records(tuple(files), numbers, np.zeros(300, np.int64), lengths, numbers.astype(str))
    before = len(list(open_files.iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, before + 150), hard))
    try:
        for _ in range(2):
            assert records.read(numbers) == [b"content"] * 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    del records
    assert len(list(open_files.iterdir())) <= before


def test_joined_encoded_images_are_one_after_the_other(both, load, folder):
    encoded, decoded = both
    joined = EncodedImages.join([encoded.images, encoded.images])
    assert isinstance(joined.decoding, Decoding)
    assert joined.records.files == encoded.images.records.files * 2
    rows = [0, COUNT - 1, COUNT, 2 * COUNT - 1, 40]
    np.testing.assert_array_equal(joined[rows], np.tile(decoded.images, (2, 1, 1, 1))[rows])
