"""Row streams in seeded orders, gathered as elements of a dataset: a step's, a replica's."""

from __future__ import annotations

import atexit
import contextlib
import re
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.encoded_images import DECODES, READS, EncodedImages
from twofold.components.data.reading.sampling import Draws
from twofold.components.data.reading.split import Split
from twofold.components.errors import DataError

_Element = TypeVar("_Element")

FIELDS = ("image", "label", "key", "key_hash", "index")

# Of each field but the image: its type, and its values in rows of a split.
_COLUMNS: dict[str, tuple[tf.DType, Callable[[Split, np.ndarray], np.ndarray]]] = {
    "label": (tf.int32, lambda split, rows: split.labels[rows]),
    "key": (tf.string, lambda split, rows: split.keys[rows].astype(object)),
    "key_hash": (tf.int64, lambda split, rows: split.key_hashes[rows]),
    "index": (tf.int64, lambda split, rows: rows),
}
# How a DataError reads within an error of TensorFlow's.
_RAISED = re.compile(r"\bDataError: (.*?)\n+Traceback ", re.DOTALL)
_opened: weakref.WeakSet[Any] = weakref.WeakSet()
# Where tensors have to begin if TensorFlow is to take an array as it is, without a copy.
_ALIGNMENT = 64


def steps_per_epoch(rows: int, batch_size: int, *, keep_last: bool = False) -> int:
    """How many batches a stream of so many rows gives before it permutes them anew.

    Args:
        rows: to draw from.
        batch_size: rows a step.
        keep_last: whether rows that fill no batch are a last, smaller one.

    """
    return -(-rows // batch_size) if keep_last else rows // batch_size


@dataclass(frozen=True)
class Stream:
    """Rows of a split in an order of which any step's and replica's part can be computed.

    Epoch e is a permutation of the rows drawn for (seed, e), cut into batches, the remainder
    dropped or a last, smaller batch, and each batch into one share a replica. With `draws`, each
    position in a batch is drawn by itself instead, and an epoch is only a number of steps.

    Attributes:
        split: the images.
        rows: those to draw from, int64 [n], n at least `batch_size` where the remainder is dropped.
        share: rows a replica and step.
        batch_size: rows a step over all replicas.
        seed: draws the permutations.
        shuffle: whether to permute; without it every epoch has the rows in order.
        draws: of `rows`, with replacement; None permutes.
        keep_last: whether what fills no batch is a last one; it divides among the replicas, too.
    """

    split: Split
    rows: np.ndarray
    share: int
    batch_size: int
    seed: int
    shuffle: bool
    draws: Draws | None = None
    keep_last: bool = False

    @property
    def smallest_share(self) -> int:
        """Rows a replica in the smallest batch: `share`, or those of a last one."""
        last = len(self.rows) % self.batch_size if self.keep_last else 0
        return last * self.share // self.batch_size if last else self.share

    @property
    def static_share(self) -> int | None:
        """Rows a replica and step, where these are always as many."""
        return self.share if self.smallest_share == self.share else None

    def positions(self, step: tf.Tensor, replica: tf.Tensor) -> tf.Tensor:
        """Where in `rows` a replica's share of a step lies, int64 [share], or fewer at the last."""
        if self.draws is not None:
            drawn = partial(_draw, self.draws, self.share)
            return tf.numpy_function(drawn, [step, replica], tf.int64, stateful=False)
        per_epoch = steps_per_epoch(len(self.rows), self.batch_size, keep_last=self.keep_last)
        is_last = tf.equal(step % per_epoch, per_epoch - 1)
        share = tf.where(is_last, self.smallest_share, self.share)
        share = tf.cast(share, tf.int64) if self.static_share is None else self.share
        first = step % per_epoch * self.batch_size + replica * share
        positions = first + tf.range(share, dtype=tf.int64)
        if self.shuffle:
            positions = _permute(positions, self.seed, step // per_epoch, len(self.rows))
        return positions

    @property
    def encoded(self) -> EncodedImages | None:
        """The images, where they are decoded whenever they are read."""
        images: Any = self.split.images
        return images if isinstance(images, EncodedImages) else None


def stream_elements(
    streams: Sequence[Stream],
    first_step: int,
    steps: int,
    replicas: int,
    replica_ids: Sequence[int] | None,
    fields: Sequence[str] = FIELDS,
) -> tf.data.Dataset:
    """One element a step and replica: its share of each stream, in the streams' order.

    Args:
        streams: whose images have one shape.
        first_step: the first step, counted from 0 over all epochs.
        steps: how many steps.
        replicas: how many replicas share a step.
        replica_ids: which of them this dataset is for, in order; None for all.
        fields: which of `FIELDS` the elements have.

    Returns:
        steps * len(replica_ids) elements of b rows, b the sum of the shares at a step: image uint8
        [b, H, W, C], label int32 [b], key string [b], key_hash int64 [b] and index (row of the
        stream's split) int64 [b].
    """
    ids = tf.constant(range(replicas) if replica_ids is None else replica_ids, tf.int64)
    served = int(ids.shape[0])
    shares = [stream.static_share for stream in streams]
    share = None if None in shares else sum(filter(None, shares))
    columns = [name for name in fields if name != "image"]
    if "key_hash" in columns:
        # Hashes of all keys, which are made once, and not by several threads at a time.
        for stream in streams:
            _ = stream.split.key_hashes
    parts = _image_parts(streams) if "image" in fields else []

    def gather(*positions: np.ndarray) -> tuple[np.ndarray, ...]:
        rows = [stream.rows[at] for stream, at in zip(streams, positions, strict=True)]
        images = [part.gather(rows[part.first : part.last]) for part in parts]
        values = (
            [_COLUMNS[name][1](stream.split, at) for stream, at in zip(streams, rows, strict=True)]
            for name in columns
        )
        return (*images, *(np.concatenate(each) for each in values))

    types = [*(part.type for part in parts), *(_COLUMNS[name][0] for name in columns)]

    @tf.autograph.experimental.do_not_convert
    def read(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        step, replica = first_step + number // served, ids[number % served]
        positions = [stream.positions(step, replica) for stream in streams]
        return tuple(tf.numpy_function(gather, positions, types, stateful=False))

    @tf.autograph.experimental.do_not_convert
    def element(*gathered: tf.Tensor) -> dict[str, tf.Tensor]:
        images, values = gathered[: len(parts)], gathered[len(parts) :]
        found = {n: tf.ensure_shape(x, [share]) for n, x in zip(columns, values, strict=True)}
        if parts:
            pixels = [part.pixels(x) for part, x in zip(parts, images, strict=True)]
            found["image"] = pixels[0] if len(pixels) == 1 else tf.concat(pixels, axis=0)
        return {name: found[name] for name in fields}

    options = tf.data.Options()
    # Nothing is left to tune, and the tuner sleeps for up to a minute before an iterator can end.
    options.autotune.enabled = False
    # The arrays are reached through numpy: as graph constants they would be copied.
    elements = tf.data.Dataset.range(steps * served)
    elements = elements.map(read, num_parallel_calls=READS, deterministic=True)
    if any(part.decodes for part in parts):
        elements = elements.map(element, num_parallel_calls=DECODES, deterministic=True)
    else:
        elements = elements.map(element)
    return elements.prefetch(2).with_options(options)


def iterate(elements: Iterable[_Element]) -> Iterator[_Element]:
    """The elements of `stream_elements`, or of what a strategy made of them.

    TensorFlow packs what reading raises into an error of its own, which is opened here. And an
    iterator that is left where it is until the program ends (by an error that nobody catches) can
    keep it from ending: it waits for reads in Python threads, which by then do not run any more.
    Those from here are closed before.

    Raises:
        DataError: a record is damaged.

    """
    opened = _open(elements)
    _opened.add(opened)
    return opened


def _open(elements: Iterable[_Element]) -> Iterator[_Element]:
    try:
        yield from elements
    except tf.errors.OpError as error:
        raised = _RAISED.search(error.message)
        if raised is None:
            raise
        raise DataError(raised[1].strip()) from error


@atexit.register
def _close_all() -> None:
    for opened in list(_opened):
        # Another thread may be in the midst of one.
        with contextlib.suppress(ValueError):
            opened.close()


class _Buffers:
    """Arrays uint8 of one shape, each used again as soon as nobody holds it any more.

    A new array of some megabytes costs as much as its copying, since the system clears its pages.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._free: list[np.ndarray] = []

    def take(self) -> np.ndarray:
        """An array of any content."""
        size = int(np.prod(self._shape))
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(size + _ALIGNMENT, np.uint8)
        # Every view of an array refers to the first one over memory that is no array's, so this one
        # lives for as long as any of them.
        whole = np.frombuffer(memory.data, np.uint8)
        weakref.finalize(whole, self._free.append, memory).atexit = False
        start = -whole.ctypes.data % _ALIGNMENT
        return whole[start : start + size].reshape(self._shape)


class _Decoded:
    """The images of consecutive streams whose images are arrays, gathered into one."""

    type = tf.uint8
    decodes = False

    def __init__(self, streams: Sequence[Stream], first: int) -> None:
        self.first, self.last = first, first + len(streams)
        self._streams = streams
        image_shape = streams[0].split.images.shape[1:]
        self._buffers = _Buffers((sum(s.share for s in streams), *image_shape))
        shares = [stream.static_share for stream in streams]
        self._shape = (None if None in shares else sum(filter(None, shares)), *image_shape)

    def gather(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        gathered = self._buffers.take()
        filled = 0
        for stream, at in zip(self._streams, rows, strict=True):
            part = gathered[filled : filled + len(at)]
            # Any other mode takes the rows into a buffer first.
            stream.split.images.take(at, axis=0, out=part, mode="clip")
            filled += len(at)
        return gathered[:filled]

    def pixels(self, gathered: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(gathered, self._shape)


class _Encoded:
    """The images of one stream as records, to be decoded in the graph."""

    type = tf.string
    decodes = True

    def __init__(self, images: EncodedImages, share: int | None, first: int) -> None:
        self.first, self.last = first, first + 1
        self._images = images
        self._share = share

    def gather(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        return np.array(self._images.records.read(rows[0]), object)

    def pixels(self, gathered: tf.Tensor) -> tf.Tensor:
        return self._images.decoding(tf.ensure_shape(gathered, [self._share]))


def _image_parts(streams: Sequence[Stream]) -> list[_Decoded | _Encoded]:
    if all(stream.encoded is None for stream in streams):
        return [_Decoded(streams, 0)]
    return [
        _Decoded([stream], number)
        if stream.encoded is None
        else _Encoded(stream.encoded, stream.static_share, number)
        for number, stream in enumerate(streams)
    ]


def _draw(draws: Draws, share: int, step: np.ndarray, replica: np.ndarray) -> np.ndarray:
    return draws.positions(int(step), int(replica) * share, share)


def _permute(index: tf.Tensor, seed: int, epoch: tf.Tensor, rows: int) -> tf.Tensor:
    """Where positions [b] of an epoch's order lie among `rows` rows, int64 [b]."""
    key = tf.stack([tf.constant(seed % (2**31 - 1), tf.int64), epoch])
    permuted = tf.random.experimental.index_shuffle(index, seed=key, max_index=rows - 1)
    return tf.cast(permuted, tf.int64)
