"""Records made without TensorFlow are TensorFlow's own, byte for byte."""

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.data.store import record_schema
from twofold.components.data.store.tf_example import FOOTER, HEADER, Example, frame, masked_crc

texts = st.text(max_size=20).filter(lambda text: "\0" not in text)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def theirs(key, image, label, latents, shape, weight):
    features = {
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        "key": tf.train.Feature(bytes_list=tf.train.BytesList(value=[key.encode()])),
        "latents": tf.train.Feature(float_list=tf.train.FloatList(value=latents)),
    }
    if shape is not None:
        features["shape"] = tf.train.Feature(int64_list=tf.train.Int64List(value=shape))
    if weight is not None:
        features["weight"] = tf.train.Feature(float_list=tf.train.FloatList(value=[weight]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


@given(
    key=texts,
    image=st.binary(max_size=300),
    label=st.integers(-1, 2**40),
    latents=st.lists(floats, max_size=6),
    shape=st.none() | st.lists(st.integers(1, 5000), min_size=3, max_size=3),
    weight=st.none() | floats,
)
def test_a_record_has_the_bytes_that_tensorflow_gives_it(key, image, label, latents, shape, weight):
    record = record_schema.serialize(key, image, label, latents, shape=shape, weight=weight)
    assert record == theirs(key, image, label, latents, shape, weight)
    assert record_schema.image_of(record) == image


def test_a_file_of_framed_records_is_the_one_that_tensorflow_writes(tmp_path):
    records = [record_schema.serialize(f"{n}.png", bytes(range(n)), n, [n / 3]) for n in range(40)]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in records:
            writer.write(record)
    (tmp_path / "ours").write_bytes(b"".join(map(frame, records)))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_frame_holds_length_data_and_checksums():
    framed = frame(b"abc")
    length, length_crc = HEADER.unpack(framed[: HEADER.size])
    assert (length, length_crc) == (3, masked_crc(framed[:8]))
    assert framed[HEADER.size : -FOOTER.size] == b"abc"
    assert FOOTER.unpack(framed[-FOOTER.size :]) == (masked_crc(b"abc"),)


def test_parsing_gives_back_what_was_serialised():
    records = [
        record_schema.serialize("a", b"123456", 4, [0.5, 2.0], shape=(1, 2, 3), weight=0.25),
        record_schema.serialize("b/c", b"1", -1, [1.5, 3.0], shape=(1, 1, 1), weight=2.0),
    ]
    parsed = record_schema.parse(tf.constant(records), 2, raw=True, weighted=True)
    assert parsed["key"].numpy().tolist() == [b"a", b"b/c"]
    assert parsed["image"].numpy().tolist() == [b"123456", b"1"]
    assert parsed["label"].numpy().tolist() == [4, -1]
    np.testing.assert_array_equal(parsed["latents"], [[0.5, 2.0], [1.5, 3.0]])
    np.testing.assert_array_equal(parsed["shape"], [[1, 2, 3], [1, 1, 1]])
    np.testing.assert_array_equal(parsed["weight"], [0.25, 2.0])


def test_without_latents_there_is_an_empty_column_of_them():
    parsed = record_schema.parse(tf.constant([record_schema.serialize("a", b"1", 0, [])]), 0)
    assert parsed["latents"].shape == (1, 0)


def test_an_example_of_tensorflows_is_read():
    made = theirs("k", b"xyz", 7, [1.0], None, None)
    features = Example.FromString(made).features.feature
    assert features["label"].int64_list.value[:] == [7]
    assert features["key"].bytes_list.value[0] == b"k"
