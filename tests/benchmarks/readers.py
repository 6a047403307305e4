"""Ways to read a prepared split, and training steps that wait for it.

A step takes the path of a dataset, a folder for decoded images, and the side of its images, and
draws batches of its split `train`. Those of reading return how many images they read; those of
training return the seconds that they waited for a batch.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from twofold.components.data.reading.reader import batches, load_split
from twofold.components.data.store.manifest import load_manifest
from twofold.components.data.store.record_schema import IMAGE, LABEL
from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.heads import build_projector
from twofold.components.methods.contrastive.simclr import SimCLR
from twofold.components.training.optimizers.named_optimizers import build_optimizer
from twofold.components.training.step import (
    Batch,
    StepSettings,
    TrainState,
    TrainStep,
    build_train_step,
)
from twofold.components.transforms.decode import DecodeRule, decode_pixels
from twofold.components.transforms.policies import build_policy

Step = Callable[[], float]

BATCH = 256
# Recipe E's encoder, for images as small as those of CIFAR-10; recipe A's for others.
_SMALL = 32
_MANY = 10**9
# What a training step reads of a batch.
_FIELDS = ("image", "label", "key_hash")


def _ours(dataset: str, folder: str, side: int, *, cache: str) -> Iterator[Batch]:
    rule = DecodeRule(side, side, load_manifest(dataset).channels)
    split = load_split(
        dataset,
        "train",
        decode=lambda contents: decode_pixels(contents, rule),
        size=(side, side),
        channels=rule.channels,
        cache=cache,
        cache_dir=folder,
        cache_key=rule.fingerprint,
    )
    drawn = batches(split, batch_size=BATCH, seed=1, first_step=0, steps=_MANY, fields=_FIELDS)
    return iter(drawn)


def _by_map(dataset: str, _: str, side: int) -> Iterator[Batch]:
    """As tutorials have it: parse and decode one by one, in the shards' order."""
    manifest = load_manifest(dataset)
    features = {
        IMAGE: tf.io.FixedLenFeature([], tf.string),
        LABEL: tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(record: tf.Tensor) -> Batch:
        parsed = tf.io.parse_single_example(record, features)
        image = tf.io.decode_jpeg(parsed[IMAGE], channels=manifest.channels)
        return {"image": tf.ensure_shape(image, [side, side, None]), "label": parsed[LABEL]}

    shards = [f"{dataset}/{shard.file}" for shard in manifest.splits["train"].shards]
    elements = tf.data.TFRecordDataset(shards).repeat()
    elements = elements.map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    return iter(elements.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def _by_tfds(dataset: str, _: str, side: int) -> Iterator[Batch]:
    """As TensorFlow Datasets reads it."""
    import tensorflow_datasets as tfds

    # Where it finds room it would keep the decoded images of the first epoch.
    config = tfds.ReadConfig(try_autocache=False)
    builder = tfds.builder_from_directory(dataset)
    elements = builder.as_dataset(split="train", read_config=config).repeat()
    return iter(elements.batch(BATCH).prefetch(tf.data.AUTOTUNE))


def _alone(dataset: str, folder: str, side: int) -> Iterator[Batch]:
    """One batch again and again: what is waited for it is what TensorFlow takes to hand it over."""
    batch = next(_ours(dataset, folder, side, cache="disk"))
    return iter(tf.data.Dataset.from_tensors(batch).repeat().prefetch(2))


def _read(dataset: str, folder: str, side: int, *, source: Callable[..., Iterator[Batch]]) -> Step:
    elements = source(dataset, folder, side)
    return lambda: float(next(elements)["image"].shape[0])


def _train(dataset: str, folder: str, side: int, *, source: Callable[..., Iterator[Batch]]) -> Step:
    elements = source(dataset, folder, side)
    train = _train_step(side, load_manifest(dataset).channels)

    def step() -> float:
        started = time.perf_counter()
        batch = next(elements)
        waited = time.perf_counter() - started
        # The loop of training looks at no loss for many steps; here the step has to be over.
        float(train(batch)["loss"])
        return waited

    return step


def _train_step(side: int, channels: int) -> TrainStep:
    shape = (side, side, channels)
    if side <= _SMALL:
        encoder = build_encoder("core", shape, seed=1)
        projector = build_projector(encoder.output_shape[-1], seed=1)
    else:
        encoder = build_encoder("conv4", shape, seed=1, width=128)
        projector = build_projector(encoder.output_shape[-1], seed=1, units=(128, 128))
    policy = build_policy("simclr_strong")
    method = SimCLR(
        encoder,
        projector,
        views=(policy, policy),
        temperature=0.1,
        negatives="all",
    )
    state = TrainState(method.models, build_optimizer("adam", learning_rate=1e-3))
    state.build()
    return build_train_step(tf.distribute.get_strategy(), method, state, StepSettings(seed=1))


_CACHED = functools.partial(_ours, cache="disk")
_STREAMED = functools.partial(_ours, cache="off")
VARIANTS: dict[str, Callable[[str, str, int], Step]] = {
    "cached": functools.partial(_read, source=_CACHED),
    "streaming": functools.partial(_read, source=_STREAMED),
    "map": functools.partial(_read, source=_by_map),
    "TFDS": functools.partial(_read, source=_by_tfds),
    "step alone": functools.partial(_train, source=_alone),
    "step, cached": functools.partial(_train, source=_CACHED),
    "step, streaming": functools.partial(_train, source=_STREAMED),
}
