"""CIFAR-10-C: the published corrupted test images, where TensorFlow Datasets has prepared them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from twofold.components.data.sources import TfdsSettings
from twofold.components.data.sources.source import Item, Source
from twofold.components.errors import DataError
from twofold.components.evaluation.robustness.corruption_robustness import CorruptedBatches
from twofold.components.transforms.decode import DecodeRule, decode_images, fit_pixels

CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
# What TensorFlow Datasets calls those that it calls otherwise.
_TFDS_NAMES = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}


def open_published(
    directory: str | Path, corruptions: Sequence[str], severities: Sequence[int]
) -> dict[tuple[str, int], Source]:
    """Opens the published sets of corruptions and severities, ``cifar10_corrupted/<name>_<n>``.

    Args:
        directory: the folder that TensorFlow Datasets prepares data sets in; nothing is fetched.
        corruptions: keys of `CORRUPTIONS`.
        severities: of 1 to 5.

    Raises:
        DataError: if one of them is not prepared there.

    """
    return {
        (name, severity): TfdsSettings(
            tfds_name=f"cifar10_corrupted/{_TFDS_NAMES.get(name, name)}_{severity}",
            tfds_dir=str(directory),
            tfds_splits=("test",),
        ).build()
        for name in corruptions
        for severity in severities
    }


def published_batches(
    sources: Mapping[tuple[str, int], Source],
    rule: DecodeRule,
    class_names: Sequence[str],
    *,
    count: int | None = None,
    batch_size: int = 256,
) -> CorruptedBatches:
    """Reads published sets on demand.

    Args:
        sources: what `open_published` gave.
        rule: to what the encoder sees.
        class_names: the names that labels index.
        count: only so many images of each set, evenly spaced over it; None for all.
        batch_size: images at a time.

    Raises:
        DataError: if the classes are not those of CIFAR-10; when read, if an image cannot be.

    """
    class_indices = _class_indices(class_names)

    def read(name: str, severity: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        source = sources[name, severity]
        total = source.info().items
        chosen = None if count is None or count >= total else _spaced(total, count)
        items: list[Item] = []
        for number, item in enumerate(_items(source)):
            if item.problem is not None:
                raise DataError(f"cifar10_corrupted: {name}_{severity}: {item.key}: {item.problem}")
            if chosen is None or number in chosen:
                items.append(item)
            if len(items) == batch_size:
                yield _decode(items, rule, class_indices)
                items = []
        if items:
            yield _decode(items, rule, class_indices)

    return read


def _class_indices(class_names: Sequence[str]) -> np.ndarray:
    """Gives each of CIFAR-10's labels its index among the classes that a run knows."""
    known = [name.lower() for name in class_names]
    if known == [str(number) for number in range(len(CIFAR10_CLASSES))]:
        return np.arange(len(CIFAR10_CLASSES), dtype=np.int32)
    if sorted(known) != sorted(CIFAR10_CLASSES):
        raise DataError(
            f"the published corrupted images are of CIFAR-10: expected the classes "
            f"{', '.join(CIFAR10_CLASSES)}, received {', '.join(class_names) or 'none'}"
        )
    return np.array([known.index(name) for name in CIFAR10_CLASSES], np.int32)


def _spaced(total: int, count: int) -> frozenset[int]:
    return frozenset((np.arange(count) * total // count).tolist())


def _items(source: Source) -> Iterator[Item]:
    for task in source.tasks(1024):
        yield from source.read(task)


def _decode(
    items: Sequence[Item], rule: DecodeRule, class_indices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    encoded = [item.image for item in items if isinstance(item.image, bytes)]
    images: np.ndarray
    if len(encoded) == len(items):
        images = decode_images(tf.constant(encoded), rule).numpy()
    else:
        images = np.stack([fit_pixels(tf.constant(item.image), rule).numpy() for item in items])
    return images, class_indices[[item.label for item in items]]
