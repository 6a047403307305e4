"""Random number generation by key: numbers belong to an image, not to its row in a batch.

TensorFlow's stateless generators take one seed for a whole tensor, so the numbers an image gets
depend on the row and the replica it happens to be on. Here every image carries a 32-bit key of its
own, mixed from the run's seed, the step, a hash of the image's name and the view, and its numbers
are a hash of that key and a counter. The same image at the same step therefore gets the same view
on one device, on eight replicas, or after a resume; eagerly, in a graph, or compiled by XLA, since
only integer operations with defined overflow, and exact products of floats, are involved.

The hash is MurmurHash3's 32-bit finaliser (Appleby, 2011, public domain), chained: enough for
augmentation, not for cryptography.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from twofold.components import distribute

_GOLDEN_RATIO = 0x9E3779B9
# Keeps the keys of repeated images apart from the views of one.
_OCCURRENCE = 0x0CC


def _mix(value: tf.Tensor) -> tf.Tensor:
    value = tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, tf.constant(16, tf.uint32)))
    value = value * tf.constant(0x85EBCA6B, tf.uint32)
    value = tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, tf.constant(13, tf.uint32)))
    value = value * tf.constant(0xC2B2AE35, tf.uint32)
    return tf.bitwise.bitwise_xor(value, tf.bitwise.right_shift(value, tf.constant(16, tf.uint32)))


def fold_in(keys: tf.Tensor, data: tf.Tensor | int) -> tf.Tensor:
    """Derives new keys from ``keys`` and a number.

    Args:
        keys: uint32, any shape.
        data: a Python integer below 2**32, or a uint32 tensor that broadcasts against ``keys``.

    Returns:
        uint32 keys of the broadcast shape, independent for different ``data``.

    """
    number = tf.constant(data, tf.uint32) if isinstance(data, int) else tf.cast(data, tf.uint32)
    return _mix(_mix(keys + tf.constant(_GOLDEN_RATIO, tf.uint32)) ^ (number * 3 + 1))


def image_keys(seed: int, step: tf.Tensor, key_hashes: tf.Tensor) -> tf.Tensor:
    """Returns one key for each image of a batch.

    Args:
        seed: the run's seed, 0 <= seed < 2**32.
        step: int64 scalar, the global step.
        key_hashes: int64 [B], non-negative, stable for an image (a hash of its key).

    Returns:
        uint32 [B].

    """
    low = tf.cast(key_hashes & 0xFFFFFFFF, tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(key_hashes, tf.constant(32, tf.int64)), tf.uint32)
    keys = fold_in(
        tf.fill(tf.shape(key_hashes), tf.constant(seed, tf.uint32)), tf.cast(step, tf.uint32)
    )
    return fold_in(fold_in(keys, low), high)


def tell_repeats_apart(keys: tf.Tensor, image_ids: tf.Tensor) -> tf.Tensor:
    """Gives an image that a global batch holds several times a key for each occurrence.

    Call it in a replica's context, or outside a strategy.

    Args:
        keys: uint32 [B] of this replica's images, which follow each other in the global batch.
        image_ids: int64 [B], equal for equal images.

    Returns:
        uint32 [B], on any number of replicas the same; those of first occurrences are unchanged.

    """
    everywhere = distribute.gather(image_ids, axis=0)
    rows = tf.shape(image_ids)[0]
    positions = distribute.first_row(rows) + tf.range(rows)
    is_before = tf.range(tf.shape(everywhere)[0])[None, :] < positions[:, None]
    is_same = image_ids[:, None] == everywhere[None, :]
    occurrences = tf.reduce_sum(tf.cast(is_before & is_same, tf.int32), axis=1)
    others = fold_in(fold_in(keys, _OCCURRENCE), tf.cast(occurrences, tf.uint32))
    return tf.where(occurrences > 0, others, keys)


def uniform(keys: tf.Tensor, count: int, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """Draws ``count`` numbers for each key, uniform in [low, high).

    Args:
        keys: uint32 [B].
        count: how many numbers an image needs.
        low: the smallest number.
        high: the bound above, never reached; ``low < high``.

    Returns:
        float32 [B, count], ``low`` plus multiples of (high - low) / 2**24, rounded.

    """
    counters = tf.range(count, dtype=tf.int32)[None, :]
    bits = fold_in(keys[:, None], tf.cast(counters, tf.uint32))
    steps = tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float64)
    # 24 bits times the 24 of a float32 are exact in float64, so that a fused multiply-add, which
    # XLA forms, gives the same bits.
    step = float(np.float32(high - low)) * 2.0**-24
    numbers = tf.cast(steps * step + low, tf.float32)
    # Rounding to float32 can reach the bound.
    return tf.minimum(numbers, np.nextafter(np.float32(high), np.float32(low)))
