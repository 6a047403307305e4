"""Record schema: the fields of the tf.train.Example that each record of a shard is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twofold.components.data.store.tf_example import Example

if TYPE_CHECKING:
    import tensorflow as tf

IMAGE = "image"
LABEL = "label"
KEY = "key"
LATENTS = "latents"
SHAPE = "shape"
WEIGHT = "weight"


def serialize(
    key: str,
    image: bytes,
    label: int,
    latents: Sequence[float],
    *,
    shape: Sequence[int] | None = None,
    weight: float | None = None,
) -> bytes:
    """One record; the same arguments give the same bytes in every process.

    Args:
        key: the image's.
        image: JPEG or PNG bytes, or pixels [H, W, C] in C order.
        label: -1 for none.
        latents: stored as float32.
        shape: H, W, C, for pixels alone; None leaves the field out.
        weight: stored as float32; None leaves the field out.

    """
    example = Example()
    fields = example.features.feature
    fields[IMAGE].bytes_list.value.append(image)
    fields[LABEL].int64_list.value.append(label)
    fields[KEY].bytes_list.value.append(key.encode())
    fields[LATENTS].float_list.value.extend(latents)
    if shape is not None:
        fields[SHAPE].int64_list.value.extend(shape)
    if weight is not None:
        fields[WEIGHT].float_list.value.append(weight)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def image_of(record: bytes) -> bytes:
    """The image of a serialised record."""
    example = Example.FromString(record)
    image: bytes = example.features.feature[IMAGE].bytes_list.value[0]
    return image


def parse(
    records: tf.Tensor, latents: int, *, raw: bool = False, weighted: bool = False
) -> dict[str, tf.Tensor]:
    """Records, string [B], as image string [B], label int64 [B], key string [B], latents float32.

    Latents are [B, latents], `latents` being how many the dataset has. With `raw`, `shape` int64
    [B, 3] is there, too; with `weighted`, `weight` float32 [B].
    """
    import tensorflow as tf

    features: dict[str, Any] = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
        KEY: tf.io.FixedLenFeature([], tf.string),
    }
    if latents:
        features[LATENTS] = tf.io.FixedLenFeature([latents], tf.float32)
    if raw:
        features[SHAPE] = tf.io.FixedLenFeature([3], tf.int64)
    if weighted:
        features[WEIGHT] = tf.io.FixedLenFeature([], tf.float32)
    parsed: dict[str, tf.Tensor] = tf.io.parse_example(records, features)
    if not latents:
        parsed[LATENTS] = tf.zeros([tf.shape(records)[0], 0], tf.float32)
    return parsed
