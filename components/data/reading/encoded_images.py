"""Encoded images of a split, as its shards hold them, decoded on demand."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from twofold.components.data.reading.record_index import Records
from twofold.components.data.reading.split import ImageRows
from twofold.components.data.store import record_schema
from twofold.components.errors import DataError

# Decoded at a time where no batch says otherwise.
_BATCH = 256
# Batches that are read, and decoded, at a time; a batch's images are decoded several at a time,
# too, so that these few keep many cores busy.
READS = 4
DECODES = 4


@dataclasses.dataclass(frozen=True)
class Decoding:
    """How the image of a record becomes the encoder's pixels.

    Attributes:
        decode: JPEG or PNG bytes, a scalar string, to uint8 [H, W, C]; runs in a graph.
        fit: stored pixels, uint8 [h, w, C], to uint8 [H, W, C]; None takes them as they are.
        shape: H, W and C.
        raw: whether records hold pixels instead of files.
        stored: of pixels, the one shape that all have, None where they have several.

    """

    decode: Callable[[tf.Tensor], tf.Tensor]
    fit: Callable[[tf.Tensor], tf.Tensor] | None
    shape: tuple[int, int, int]
    raw: bool
    stored: tuple[int, int, int] | None

    @tf.autograph.experimental.do_not_convert
    def __call__(self, records: tf.Tensor) -> tf.Tensor:
        """Serialised examples, string [B], to uint8 [B, H, W, C]."""
        parsed = record_schema.parse(records, 0, raw=self.raw)
        images = parsed[record_schema.IMAGE]
        spec = tf.TensorSpec(self.shape, tf.uint8)
        if not self.raw:
            return tf.map_fn(
                lambda image: tf.ensure_shape(self.decode(image), self.shape),
                images,
                fn_output_signature=spec,
            )
        if self.stored is not None and self.stored[:2] == self.shape[:2]:
            pixels = tf.reshape(tf.io.decode_raw(images, tf.uint8), [-1, *self.stored])
            if self.stored != self.shape:
                pixels = self._with_channels(pixels)
            return tf.ensure_shape(pixels, [None, *self.shape])
        return tf.map_fn(
            lambda image: tf.ensure_shape(self._fit_pixels(*image), self.shape),
            (images, parsed[record_schema.SHAPE]),
            fn_output_signature=spec,
        )

    def one(self, example: bytes) -> np.ndarray:
        """The pixels of one example, whatever their shape."""
        parsed = record_schema.parse(tf.constant([example]), 0, raw=self.raw)
        image = parsed[record_schema.IMAGE][0]
        shape = parsed[record_schema.SHAPE][0] if self.raw else None
        decoded = self.decode(image) if shape is None else self._fit_pixels(image, shape)
        pixels: np.ndarray = decoded.numpy()
        return pixels

    def _fit_pixels(self, image: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
        pixels = tf.reshape(tf.io.decode_raw(image, tf.uint8), shape)
        pixels = self._with_channels(pixels)
        return pixels if self.fit is None else self.fit(pixels)

    def _with_channels(self, pixels: tf.Tensor) -> tf.Tensor:
        """Grey pixels as colour, as the decoders make it; others as they are."""
        if self.shape[2] == 1:
            return pixels
        times = self.shape[2] // tf.shape(pixels)[-1]
        ones = tf.ones([len(pixels.shape) - 1], tf.int32)
        return tf.tile(pixels, tf.concat([ones, [times]], axis=0))


class EncodedImages(ImageRows):
    """Images uint8 [N, H, W, C] that read like an array and are decoded whenever they are read.

    Only what is read at once is held decoded. Reading raises `DataError`, naming
    shard and key, where a record is damaged or its image is not decoded to the shape that it should
    have.
    """

    def __init__(self, records: Records, decoding: Decoding) -> None:
        self.records = records
        self.decoding = decoding
        super().__init__(len(records), decoding.shape)

    @staticmethod
    def join(parts: Sequence[EncodedImages]) -> EncodedImages:
        """The images of splits of one dataset, one split after the other."""
        decodings = [part.decoding for part in parts]
        alike = all(decoding.stored == decodings[0].stored for decoding in decodings)
        decoding = decodings[0] if alike else dataclasses.replace(decodings[0], stored=None)
        return EncodedImages(Records.join([part.records for part in parts]), decoding)

    def take(
        self, rows: np.ndarray, axis: int = 0, out: np.ndarray | None = None, mode: str = "clip"
    ) -> np.ndarray:
        """The images of rows, int64 [B] from 0 up, as numpy's `take` gives them along axis 0."""
        taken = np.empty((len(rows), *self.shape[1:]), np.uint8) if out is None else out
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            examples = tf.constant(self.records.read(part), tf.string)
            try:
                taken[start : start + len(part)] = self._decode(examples).numpy()
            except tf.errors.OpError as error:
                self.check(part)
                # None of them by itself is at fault.
                raise error
        return taken

    def in_order(self) -> Iterator[np.ndarray]:
        """All images in batches, uint8 [B, H, W, C], the next ones decoded meanwhile.

        Raises:
            DataError: as indexing does.

        """

        def read_from(start: np.ndarray) -> np.ndarray:
            return np.array(self.records.read(self._batch_from(int(start))), object)

        @tf.autograph.experimental.do_not_convert
        def read(start: tf.Tensor) -> tf.Tensor:
            examples = tf.numpy_function(read_from, [start], tf.string, stateful=False)
            return tf.ensure_shape(examples, [None])

        # What is wrong with all images may show while the graph is made, and then has no name.
        self.check(np.arange(min(1, len(self))))
        options = tf.data.Options()
        # See `stream_elements`.
        options.autotune.enabled = False
        batches = tf.data.Dataset.range(0, len(self), _BATCH)
        batches = batches.map(read, num_parallel_calls=READS, deterministic=True)
        batches = batches.map(self.decoding, num_parallel_calls=DECODES, deterministic=True)
        given = 0
        try:
            for batch in batches.prefetch(2).with_options(options).as_numpy_iterator():
                given += len(batch)
                yield batch
        except tf.errors.OpError as error:
            self.check(self._batch_from(given))
            raise error

    def check(self, rows: np.ndarray) -> None:
        """Read and decode the images of rows, int64 [B], one by one.

        Raises:
            DataError: as indexing does.

        """
        for row in rows:
            (example,) = self.records.read(np.array([row]))
            shard = self.records.files[int(self.records.shard[row])]
            image = f"{shard}: image {str(self.records.keys[row])!r}"
            try:
                found = self.decoding.one(example).shape
            except tf.errors.OpError as error:
                reason = error.message.splitlines()[0]
                raise DataError(f"{image} could not be decoded: {reason}") from error
            if found != self.shape[1:]:
                height, width, channels = self.shape[1:]
                raise DataError(
                    f"{image} is decoded to {found[0]}x{found[1]} with {found[2]} channels; "
                    f"expected {height}x{width} with {channels}"
                )

    @functools.cached_property
    def _decode(self) -> Callable[[tf.Tensor], tf.Tensor]:
        examples = tf.TensorSpec([None], tf.string)
        concrete: Callable[[tf.Tensor], tf.Tensor] = tf.function(
            self.decoding.__call__, input_signature=[examples], autograph=False
        ).get_concrete_function()
        return concrete

    def _batch_from(self, start: int) -> np.ndarray:
        return np.arange(start, min(start + _BATCH, len(self)))
