"""Rows of splits in seeded orders, gathered as elements of a dataset: a step's, a replica's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from components.data.split import Split


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """How many whole batches a stream of so many rows gives before it permutes them anew."""
    return rows // batch_size


@dataclass(frozen=True)
class Stream:
    """Rows of a split in an order of which any step's and replica's part can be computed.

    Epoch e is a permutation of the rows drawn for (seed, e), cut into batches, the remainder
    dropped, and each batch into one share a replica.

    Attributes:
        split: the images.
        rows: those to draw from, int64 [n], n at least `batch_size`.
        share: rows a replica and step.
        batch_size: rows a step over all replicas.
        seed: draws the permutations.
        shuffle: whether to permute; without it every epoch has the rows in order.
    """

    split: Split
    rows: np.ndarray
    share: int
    batch_size: int
    seed: int
    shuffle: bool

    @cached_property
    def keys(self) -> np.ndarray:
        """The split's keys as UTF-8, bytes [N]."""
        return np.char.encode(self.split.keys, "utf-8")

    def positions(self, step: tf.Tensor, replica: tf.Tensor) -> tf.Tensor:
        """Where in `rows` a replica's share of a step lies, int64 [share]."""
        per_epoch = steps_per_epoch(len(self.rows), self.batch_size)
        first = step % per_epoch * self.batch_size + replica * self.share
        positions = first + tf.range(self.share, dtype=tf.int64)
        if self.shuffle:
            positions = _permute(positions, self.seed, step // per_epoch, len(self.rows))
        return positions


def stream_elements(
    streams: Sequence[Stream],
    first_step: int,
    steps: int,
    replicas: int,
    replica_ids: Sequence[int] | None,
) -> tf.data.Dataset:
    """One element a step and replica: its share of each stream, in the streams' order.

    Args:
        streams: whose images have one shape.
        first_step: the first step, counted from 0 over all epochs.
        steps: how many steps.
        replicas: how many replicas share a step.
        replica_ids: which of them this dataset feeds, in order; None feeds all.

    Returns:
        steps * len(replica_ids) elements of b rows, b the sum of the shares: image uint8
        [b, H, W, C], label int32 [b], key string [b], identity int64 [b] and index (row of the
        stream's split) int64 [b].
    """
    ids = tf.constant(range(replicas) if replica_ids is None else replica_ids, tf.int64)
    fed = int(ids.shape[0])
    share = sum(stream.share for stream in streams)
    shape = (share, *streams[0].split.images.shape[1:])

    def gather(*positions: np.ndarray) -> tuple[np.ndarray, ...]:
        image = np.empty(shape, np.uint8)
        columns = []
        filled = 0
        for stream, position in zip(streams, positions, strict=True):
            split, index = stream.split, stream.rows[position]
            part = image[filled : filled + stream.share]
            # Any other mode takes the rows into a buffer first.
            split.images.take(index, axis=0, out=part, mode="clip")
            key = stream.keys[index].astype(object)
            columns.append((split.labels[index], key, split.identities[index], index))
            filled += stream.share
        return image, *(np.concatenate(parts) for parts in zip(*columns, strict=True))

    def element(number: tf.Tensor) -> dict[str, tf.Tensor]:
        step, replica = first_step + number // fed, ids[number % fed]
        positions = [stream.positions(step, replica) for stream in streams]
        types = (tf.uint8, tf.int32, tf.string, tf.int64, tf.int64)
        image, *columns = tf.numpy_function(gather, positions, types, stateful=False)
        names = ("label", "key", "identity", "index")
        return {
            "image": tf.ensure_shape(image, shape),
            **{n: tf.ensure_shape(x, [share]) for n, x in zip(names, columns, strict=True)},
        }

    options = tf.data.Options()
    # Nothing is left to tune, and the tuner sleeps for up to a minute before an iterator can end.
    options.autotune.enabled = False
    # The arrays are reached through numpy: as graph constants they would be copied.
    elements = tf.data.Dataset.range(steps * fed)
    elements = elements.map(element, num_parallel_calls=2, deterministic=True)
    return elements.prefetch(2).with_options(options)


def _permute(index: tf.Tensor, seed: int, epoch: tf.Tensor, rows: int) -> tf.Tensor:
    """Where positions [b] of an epoch's order lie among `rows` rows, int64 [b]."""
    key = tf.stack([tf.constant(seed % (2**31 - 1), tf.int64), epoch])
    permuted = tf.random.experimental.index_shuffle(index, seed=key, max_index=rows - 1)
    return tf.cast(permuted, tf.int64)
