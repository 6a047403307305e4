"""What one record of a shard holds: a tf.train.Example with the fields named here."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

IMAGE = "image"
LABEL = "label"
KEY = "key"
LATENTS = "latents"


def serialize(key: str, image: bytes, label: int, latents: Sequence[float]) -> bytes:
    """One record: JPEG or PNG bytes, label (-1 for none), key, latents as float32.

    The same arguments give the same bytes in every process.
    """
    features = {
        IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
        KEY: tf.train.Feature(bytes_list=tf.train.BytesList(value=[key.encode()])),
        LATENTS: tf.train.Feature(float_list=tf.train.FloatList(value=latents)),
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def parse(records: tf.Tensor, latents: int) -> dict[str, tf.Tensor]:
    """Records, string [B], as image string [B], label int64 [B], key string [B], latents float32.

    Latents are [B, latents], `latents` being how many the dataset has.
    """
    features = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
        KEY: tf.io.FixedLenFeature([], tf.string),
    }
    if latents:
        features[LATENTS] = tf.io.FixedLenFeature([latents], tf.float32)
    parsed: dict[str, tf.Tensor] = tf.io.parse_example(records, features)
    if not latents:
        parsed[LATENTS] = tf.zeros([tf.shape(records)[0], 0], tf.float32)
    return parsed
