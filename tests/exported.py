"""Models as small as they can be, saved and described as the pipeline does it."""

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

from twofold.components.export.saved_model.lineage import DataSummary, Lineage, write_lineage
from twofold.components.export.saved_model.recorded_requests import RecordedSample, write_sample
from twofold.components.export.saved_model.signature_contract import read_contract
from twofold.components.export.saved_model.version_directory import write_checksums
from twofold.components.export.saved_model.warmup_requests import (
    warmup_requests,
    write_warmup_requests,
)
from twofold.components.pages.model_card import write_model_card

# A "file" of this format is the four pixels of its image.
FILES = [b"\x00\x01\x02\x00", b"\x05\x00\x00\x00", b"\xff\xff\xff\xff"]
IMAGES = np.frombuffer(b"".join(FILES), np.uint8).reshape(3, 2, 2, 1)

LINEAGE = Lineage(
    configuration={
        "name": "tiny",
        "seed": 3,
        "method": {"name": "simclr"},
        "encoder": {"name": "core"},
        "training": {"epochs": 2, "batch_size": 8},
    },
    configuration_yaml="name: tiny\nseed: 3\n",
    class_names=("cat", "dog"),
    image={"height": 2, "width": 2, "channels": 1, "formats": ["RAW"]},
    data=DataSummary(
        fingerprint="f" * 64,
        name="pets",
        source="folder",
        images={"train": 900, "test": 100},
        labels={"cat": 500, "dog": 500},
        rejected=2,
        duplicates=4,
        leaked=0,
    ),
    checkpoint="c" * 64,
    metrics={
        "linear_probe/test_accuracy": 0.9,
        "linear_probe/test_accuracy_low": 0.8256343384950865,
        "linear_probe/test_accuracy_high": 0.9447708629393249,
        "knn/test_accuracy": 0.88,
        "calibration/ece": 0.05,
        "pretrain/loss": 1.5,
    },
    held_out_split="test",
    held_out_images=100,
    versions={"twofold": "0.1.0", "python": "3.11.7", "git_revision": None},
    licences={"twofold": "Apache-2.0", "numpy": "BSD-3-Clause"},
)


def embeddings_of(images: np.ndarray, width: int = 3) -> np.ndarray:
    """What the model computes: the sum of the pixels, times 1, 2, 3 ..."""
    total = images.reshape(len(images), -1).astype(np.float32).sum(axis=1, keepdims=True)
    embeddings: np.ndarray = total * np.arange(1, width + 1, dtype=np.float32)
    return embeddings


def save_tiny(version: Path, *, width: int = 3, head: bool = True) -> Path:
    """Writes a SavedModel with the signatures ``serving_default`` and ``embed``."""
    module = tf.Module()
    module.scale = tf.Variable(np.arange(1, width + 1, dtype=np.float32))

    def features(images):
        total = tf.reduce_sum(tf.cast(images, tf.float32), axis=[1, 2, 3])
        return total[:, None] * module.scale

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serving_default(image_bytes):
        pixels = tf.io.decode_raw(image_bytes, tf.uint8, fixed_length=4)
        answer = {"embedding": features(tf.reshape(pixels, [-1, 2, 2, 1]))}
        return answer | {"logits": answer["embedding"][:, :2]} if head else answer

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2, 1], tf.uint8, "images")])
    def embed(images):
        return {"embedding": features(images)}

    signatures = {"serving_default": serving_default, "embed": embed}
    tf.saved_model.save(module, str(version), signatures=signatures)
    return version


def describe(version: Path, lineage: Lineage = LINEAGE, *, width: int = 3) -> Path:
    """Writes all that belongs beside a model, as the step that exports does."""
    write_lineage(version, lineage)
    write_model_card(version, lineage)
    inputs = {"image_bytes": np.array(FILES, object), "images": IMAGES}
    write_warmup_requests(version, warmup_requests(read_contract(version), inputs))
    write_sample(version, RecordedSample(FILES, IMAGES, embeddings_of(IMAGES, width)))
    write_checksums(version)
    return version


def with_metrics(**changes: float | None) -> Lineage:
    """The lineage with other figures; None takes one out, and __ stands for a slash."""
    named = {name.replace("__", "/"): value for name, value in changes.items()}
    metrics = {k: v for k, v in {**LINEAGE.metrics, **named}.items() if v is not None}
    return dataclasses.replace(LINEAGE, metrics=metrics)
