"""Signatures of an exported model: what each takes and gives.

B is the number of images, D the width of the embedding, K the number of classes.

- ``classify``: ``image_bytes`` string [B] to ``embedding`` float32 [B, D], ``logits`` and
  ``probabilities`` float32 [B, K], and ``class_names`` string [B, K], the same in every row.
- ``classify_<head>``: the same by another head; the embedding is that of the head's encoder.
- ``classify_tta``: ``image_bytes``, ``views`` and ``seed`` to ``probabilities`` and
  ``class_names``: the mean over several views (see ``evaluation_view``), of which the first is the
  image as it is.
- ``classify_examples``: ``inputs`` string [B], serialised ``tf.train.Example``, to ``classes``
  string [B, K] and ``scores`` float32 [B, K]: what TensorFlow Serving's Classify asks.
- ``embed``: ``images`` uint8 [B, H, W, C] to ``embedding``.
- ``embed_bytes``: ``image_bytes`` to ``embedding``.
- ``augment``: ``images`` and ``seed`` to ``view_1`` and ``view_2``, float32 [B, H, W, C] in [0, 1].
- ``serving_default``: ``classify``, or ``embed_bytes`` where there is no head.

``image_bytes`` are whole JPEG or PNG files; any other, of the formats that preparation converts,
too, is refused. An EXIF orientation in them is not applied (see ``components.transforms.decode``).
``seed`` and ``views`` are int64, one number for all images, or [B], one for each, which is what
TensorFlow Serving's row format makes of them; a seed lies in [0, 2**32), and ``views`` in [1, 64].

The randomness of ``augment`` is that of training: with one seed s for all, image i is drawn as the
image of key hash i at step 0 of a run of seed s; with a seed for each, as that of key hash 0, so
that a view does not depend on what else is in the batch. ``classify_tta`` draws by the seed and the
bytes of the file, wherever in a batch it is.

What does not have the shape or the type that is said here is INVALID_ARGUMENT, and so is a file
that cannot be decoded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from twofold.components import keyed_random
from twofold.components.export.saved_model.classifier_heads import HeadFunction
from twofold.components.transforms.decode import DecodeRule, decode_images
from twofold.components.transforms.geometry.crop import CropRanges, apply_crop, sample_crop
from twofold.components.transforms.views import ViewFunction, drawn, to_unit_range

Outputs = dict[str, tf.Tensor]
# A tf.function with an input signature.
Function = Any
# From images uint8 [B, H, W, C] and keys uint32 [B] to the two views of training.
TrainingViews = Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]]

DEFAULT = "serving_default"
MOST_VIEWS = 64
# Names that no head may have.
RESERVED = ("examples", "tta")

_SEEDS = 2**32
_HASH_BUCKETS = 2**63 - 1
_EVALUATION_CROP = CropRanges(area=(0.7, 1.0), aspect=(3 / 4, 4 / 3), flip=True)


def _function(*signature: tf.TensorSpec) -> Callable[[Callable[..., Any]], Function]:
    """Makes a graph of a function that has no control flow of Python for AutoGraph to convert.

    Converting what is called, too, takes longer than building the graphs does.
    """
    made: Callable[[Callable[..., Any]], Function] = tf.function(
        input_signature=signature, autograph=False
    )
    return made


def evaluation_view(*, flip: bool = True) -> ViewFunction:
    """The views of ``classify_tta``: a crop of 70 to 100 % of the area, half of them mirrored."""
    ranges = dataclasses.replace(_EVALUATION_CROP, flip=flip)
    return drawn(lambda keys: sample_crop(keys, ranges), apply_crop)


class SignatureBuilder:
    """Builds the functions that become signatures.

    Decoding and the encoders are functions of their own within the graph, which holds each once,
    however many signatures call it.

    Args:
        rule: how files become the encoder's pixels.
        encode: pixels float32 [B, H, W, C] in [0, 1] to features float32 [B, D].

    """

    def __init__(self, rule: DecodeRule, encode: Callable[[tf.Tensor], tf.Tensor]) -> None:
        self._shape = [None, rule.height, rule.width, rule.channels]
        self.encode = self.share(encode)

        @_function(tf.TensorSpec([None], tf.string))
        def decode(files: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(decode_images(files, rule), self._shape)

        self._decode = decode

    def share(self, encode: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[tf.Tensor], tf.Tensor]:
        """Makes an encoder a function of its own."""
        shared: Callable[[tf.Tensor], tf.Tensor] = _function(
            tf.TensorSpec(self._shape, tf.float32)
        )(encode)
        return shared

    def embed(self) -> Function:
        """``embed``."""

        @_function(tf.TensorSpec(self._shape, tf.uint8, "images"))
        def embed(images: tf.Tensor) -> Outputs:
            return {"embedding": self.encode(to_unit_range(self._check_images(images)))}

        return embed

    def embed_bytes(self) -> Function:
        """``embed_bytes``."""

        @_function(tf.TensorSpec([None], tf.string, "image_bytes"))
        def embed_bytes(image_bytes: tf.Tensor) -> Outputs:
            return {"embedding": self.encode(self._read(image_bytes))}

        return embed_bytes

    def classify(
        self,
        head: HeadFunction,
        class_names: Sequence[str],
        encode: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> Function:
        """``classify``, by a head and, if it has one, its encoder."""
        encode = encode or self.encode

        @_function(tf.TensorSpec([None], tf.string, "image_bytes"))
        def classify(image_bytes: tf.Tensor) -> Outputs:
            features = encode(self._read(image_bytes))
            logits = head(features)
            return {
                "embedding": features,
                "logits": logits,
                "probabilities": tf.nn.softmax(logits),
                "class_names": _tile(class_names, features),
            }

        return classify

    def classify_examples(
        self, head: HeadFunction, class_names: Sequence[str], feature: str
    ) -> Function:
        """``classify_examples``; ``feature`` names what holds the file in an example."""
        features = {feature: tf.io.FixedLenFeature([], tf.string)}

        @_function(tf.TensorSpec([None], tf.string, "inputs"))
        def classify_examples(inputs: tf.Tensor) -> Outputs:
            examples = tf.io.parse_example(tf.ensure_shape(inputs, [None]), features)
            probabilities = tf.nn.softmax(head(self.encode(self._read(examples[feature]))))
            return {"classes": _tile(class_names, probabilities), "scores": probabilities}

        return classify_examples

    def classify_tta(
        self, head: HeadFunction, class_names: Sequence[str], view: ViewFunction
    ) -> Function:
        """``classify_tta``."""

        @_function(
            tf.TensorSpec([None], tf.string, "image_bytes"),
            tf.TensorSpec(None, tf.int64, "views"),
            tf.TensorSpec(None, tf.int64, "seed"),
        )
        def classify_tta(image_bytes: tf.Tensor, views: tf.Tensor, seed: tf.Tensor) -> Outputs:
            image_bytes = tf.ensure_shape(image_bytes, [None])
            count = tf.shape(image_bytes)[0]
            counts = _check_number("views", views, count, 1, MOST_VIEWS + 1)
            seeds = _check_number("seed", seed, count, 0, _SEEDS)
            key_hashes = tf.strings.to_hash_bucket_fast(image_bytes, _HASH_BUCKETS)
            keys = _keys(seeds, key_hashes)
            pixels = self._read(image_bytes)
            total = tf.nn.softmax(head(self.encode(pixels)))
            most = tf.cast(tf.reduce_max(tf.concat([counts, [1]], axis=0)), tf.int32)

            def add(number: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                drawn_view = view(pixels, keyed_random.fold_in(keys, number))
                more = tf.nn.softmax(head(self.encode(drawn_view)))
                asked = tf.cast(number, tf.int64) < counts
                return number + 1, total + tf.where(asked[:, None], more, 0.0)

            _, total = tf.while_loop(lambda number, _: number < most, add, (1, total))
            mean = total / tf.cast(counts, tf.float32)[:, None]
            return {"probabilities": mean, "class_names": _tile(class_names, mean)}

        return classify_tta

    def augment(self, views: TrainingViews) -> Function:
        """``augment``."""

        @_function(
            tf.TensorSpec(self._shape, tf.uint8, "images"), tf.TensorSpec(None, tf.int64, "seed")
        )
        def augment(images: tf.Tensor, seed: tf.Tensor) -> Outputs:
            images = self._check_images(images)
            count = tf.shape(images)[0]
            places = tf.where(tf.equal(tf.rank(seed), 0), tf.range(count), tf.zeros_like(count))
            seeds = _check_number("seed", seed, count, 0, _SEEDS)
            first, second = views(images, _keys(seeds, tf.cast(places, tf.int64)))
            return {"view_1": first, "view_2": second}

        return augment

    def _check_images(self, images: tf.Tensor) -> tf.Tensor:
        # A wrong rank that reaches a convolution aborts the whole process.
        return tf.ensure_shape(images, self._shape)

    def _read(self, image_bytes: tf.Tensor) -> tf.Tensor:
        """Decodes files to float32 [B, H, W, C] in [0, 1]."""
        return to_unit_range(self._decode(tf.ensure_shape(image_bytes, [None])))


def _tile(class_names: Sequence[str], rows: tf.Tensor) -> tf.Tensor:
    """Repeats the names for each row: in the row format every output has one entry an image."""
    return tf.tile(tf.constant([list(class_names)]), [tf.shape(rows)[0], 1])


def _check_number(name: str, value: tf.Tensor, count: tf.Tensor, low: int, high: int) -> tf.Tensor:
    """Gives one number for each image, int64 [B], where there was one for all or for each.

    A tensor of another shape, or with a number outside [low, high), is INVALID_ARGUMENT.
    """
    several = tf.size(value)
    fits = (tf.rank(value) <= 1) & (tf.equal(several, count) | tf.equal(tf.rank(value), 0))
    shape = tf.debugging.Assert(
        fits,
        [
            f"expected {name} to be one number or one for each image, received shape",
            tf.shape(value),
        ],
    )
    bounds = tf.debugging.Assert(
        tf.reduce_all((value >= low) & (value < high)),
        [f"expected {name} of {low} to {high - 1}, received", value],
    )
    with tf.control_dependencies([shape, bounds]):
        return tf.ensure_shape(tf.broadcast_to(tf.reshape(value, [-1]), [count]), [None])


def _keys(seeds: tf.Tensor, key_hashes: tf.Tensor) -> tf.Tensor:
    """Gives the keys of images, uint32 [B], at step 0 of runs of different seeds, int64 [B]."""
    low = tf.cast(key_hashes & 0xFFFFFFFF, tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(key_hashes, tf.constant(32, tf.int64)), tf.uint32)
    keys = keyed_random.fold_in(tf.cast(seeds, tf.uint32), 0)
    return keyed_random.fold_in(keyed_random.fold_in(keys, low), high)
