"""A prepared split as one array, and batches of it as a pure function of seed and step."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.data import schema
from components.data.errors import DataError
from components.data.manifest import Manifest, SplitRecord, load_manifest
from components.data.staging import staged_directory

_DECODE_BATCH = 256
_CACHE_IMAGES = "images.npy"
_CACHE_ROWS = "rows.npz"


@dataclass(frozen=True)
class Split:
    """One split in memory, or its images memory-mapped; row i of each array is the same image.

    Attributes:
        images: uint8 [N, H, W, C].
        labels: int32 [N], -1 where there is none.
        keys: unicode strings [N].
        latents: float32 [N, L], L 0 where the dataset has none.
        class_names: the names that labels index.
        latent_names: the L names.
        name: the split's name.
    """

    images: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    latents: np.ndarray
    class_names: tuple[str, ...]
    latent_names: tuple[str, ...]
    name: str = ""

    @cached_property
    def identities(self) -> np.ndarray:
        """`key_identity` of every key, int64 [N]."""
        return np.array([key_identity(key) for key in self.keys.tolist()], np.int64)


def key_identity(key: str) -> int:
    """The first 63 bits of a key's sha256: what an image's own randomness folds in."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1


def load_split(
    dataset_dir: Path | str,
    split: str,
    *,
    decode: Callable[[tf.Tensor], tf.Tensor],
    size: tuple[int, int],
    channels: int,
    cache_dir: Path | str | None = None,
    cache_key: str = "",
) -> Split:
    """Decode a split once, in the order of its shards.

    Args:
        dataset_dir: the folder that `prepare` wrote.
        split: one of its splits.
        decode: JPEG or PNG bytes, a scalar string, to uint8 [H, W, C]; runs in a graph.
        size: the height and width that `decode` is to give.
        channels: the channels that `decode` is to give.
        cache_dir: where to keep the decoded array, memory-mapped; None decodes into memory.
        cache_key: names the rule that `decode` follows, since the cache is reused only where the
            dataset, split, size, channels and this are the same.

    Raises:
        DataError: no such dataset or split, or a damaged one, or an image that is decoded to
            another size or number of channels.
    """
    directory = Path(dataset_dir)
    manifest, record = _find_split(directory, split)
    shape = (record.images, *size, channels)
    if cache_dir is None:
        images = np.empty(shape, np.uint8)
        rows = _decode_into(images, directory, manifest, split, decode)
    else:
        identity = json.dumps([manifest.fingerprint, split, shape, cache_key])
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        cached = Path(cache_dir) / f"{split}-{digest}"
        found = _open_cache(cached, shape)
        if found is None:
            shutil.rmtree(cached, ignore_errors=True)
            _write_cache(cached, shape, directory, manifest, split, decode)
            found = _open_cache(cached, shape)
        if found is None:
            raise DataError(f"{cached}: the decoded images could not be read back")
        images, rows = found
    return Split(
        images=images,
        labels=rows[schema.LABEL],
        keys=rows[schema.KEY],
        latents=rows[schema.LATENTS],
        class_names=manifest.class_names,
        latent_names=manifest.latent_names,
        name=split,
    )


def read_encoded(dataset_dir: Path | str, split: str, count: int) -> list[bytes]:
    """The image files of a split's first rows, as `load_split` orders them, at most `count`.

    Raises:
        DataError: no such dataset or split, or a damaged one.
    """
    directory = Path(dataset_dir)
    manifest, record = _find_split(directory, split)
    records = _records(directory, record).batch(count).take(1)
    try:
        batch = schema.parse(next(iter(records)), len(manifest.latent_names))
    except tf.errors.OpError as error:
        raise _unreadable(directory, split, error) from error
    encoded: list[bytes] = batch[schema.IMAGE].numpy().tolist()
    return encoded


def _find_split(directory: Path, split: str) -> tuple[Manifest, SplitRecord]:
    manifest = load_manifest(directory)
    if split not in manifest.splits:
        raise DataError(f"{directory} has no split {split!r}; it has {', '.join(manifest.splits)}")
    return manifest, manifest.splits[split]


def _records(directory: Path, record: SplitRecord) -> tf.data.Dataset:
    return tf.data.TFRecordDataset([str(directory / shard.file) for shard in record.shards])


def _unreadable(directory: Path, split: str, error: tf.errors.OpError) -> DataError:
    reason = error.message.splitlines()[0]
    return DataError(f"{directory}: split {split!r} could not be read: {reason}")


def _open_cache(
    cached: Path, shape: tuple[int, ...]
) -> tuple[np.ndarray, dict[str, np.ndarray]] | None:
    """The cached images and rows; None where there are none or they are not what they should be."""
    try:
        images = np.load(cached / _CACHE_IMAGES, mmap_mode="r", allow_pickle=False)
        # Given a path, np.load leaves the file open where it is no archive.
        with (
            (cached / _CACHE_ROWS).open("rb") as file,
            np.load(file, allow_pickle=False) as archive,
        ):
            rows = {name: archive[name] for name in (schema.LABEL, schema.KEY, schema.LATENTS)}
    # Whatever is wrong with a cache, the answer is to make it again.
    except Exception:
        return None
    intact = images.shape == shape and images.dtype == np.uint8
    if not intact or any(len(values) != shape[0] for values in rows.values()):
        return None
    return images, rows


def _write_cache(
    cached: Path,
    shape: tuple[int, ...],
    directory: Path,
    manifest: Manifest,
    split: str,
    decode: Callable[[tf.Tensor], tf.Tensor],
) -> None:
    try:
        with staged_directory(cached) as staging:
            images = np.lib.format.open_memmap(
                staging / _CACHE_IMAGES, mode="w+", dtype=np.uint8, shape=shape
            )
            rows = _decode_into(images, directory, manifest, split, decode)
            images.flush()
            del images
            np.savez(staging / _CACHE_ROWS, **rows)  # type: ignore[arg-type]
    except FileExistsError:
        # Another process wrote the same cache meanwhile; the caller opens that one.
        return


def _decode_into(
    images: np.ndarray,
    directory: Path,
    manifest: Manifest,
    split: str,
    decode: Callable[[tf.Tensor], tf.Tensor],
) -> dict[str, np.ndarray]:
    """Fill `images` [N, H, W, C]; the label int32, key unicode and latents float32 of its rows."""
    record = manifest.splits[split]
    dataset = _decoded(directory, record, decode, images.shape[1:], len(manifest.latent_names))
    parts: dict[str, list[np.ndarray]] = {schema.LABEL: [], schema.KEY: [], schema.LATENTS: []}
    filled = 0
    try:
        for batch in dataset.as_numpy_iterator():
            _check_shapes(batch["shape"], batch[schema.KEY], images.shape[1:], directory)
            pixels = batch[schema.IMAGE]
            images[filled : filled + len(pixels)] = pixels
            filled += len(pixels)
            for name, values in parts.items():
                values.append(batch[name])
    except tf.errors.OpError as error:
        raise _unreadable(directory, split, error) from error
    if filled != record.images:
        raise DataError(
            f"{directory}: split {split!r}: expected {record.images} images as in the manifest, "
            f"found {filled} in the shards"
        )
    keys = [key.decode() for key in np.concatenate(parts[schema.KEY]).tolist()]
    return {
        schema.LABEL: np.concatenate(parts[schema.LABEL]).astype(np.int32),
        schema.KEY: np.array(keys, dtype=np.str_),
        schema.LATENTS: np.concatenate(parts[schema.LATENTS]),
    }


def _decoded(
    directory: Path,
    record: SplitRecord,
    decode: Callable[[tf.Tensor], tf.Tensor],
    shape: tuple[int, ...],
    latents: int,
) -> tf.data.Dataset:
    """Batches of parsed records with `image` uint8 [B, H, W, C] and `shape` int32 [B, 3].

    `shape` is what was decoded; an image of another shape than wanted is left black, for the reader
    to name.
    """

    def decode_one(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = decode(content)
        found = tf.ensure_shape(tf.shape(image), [3])
        fits = tf.reduce_all(tf.equal(found, shape))
        image = tf.cond(fits, lambda: image, lambda: tf.zeros(shape, tf.uint8))
        return tf.ensure_shape(image, shape), found

    def decode_batch(records: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = schema.parse(records, latents)
        signature = (tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([3], tf.int32))
        images, found = tf.map_fn(decode_one, batch[schema.IMAGE], fn_output_signature=signature)
        return {**batch, schema.IMAGE: images, "shape": found}

    return (
        _records(directory, record)
        .batch(_DECODE_BATCH)
        .map(decode_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(2)
    )


def _check_shapes(
    found: np.ndarray, keys: np.ndarray, expected: tuple[int, ...], directory: Path
) -> None:
    wrong = np.flatnonzero((found != np.array(expected)).any(axis=1))
    if len(wrong):
        key = keys[wrong[0]].decode()
        height, width, channels = found[wrong[0]].tolist()
        raise DataError(
            f"{directory}: image {key!r} is decoded to {height}x{width} with {channels} channels; "
            f"expected {expected[0]}x{expected[1]} with {expected[2]}"
        )


def batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    first_step: int,
    steps: int,
    replicas: int = 1,
    replica_ids: Sequence[int] | None = None,
    shuffle: bool = True,
) -> tf.data.Dataset:
    """Batches for `steps` training steps from `first_step`, step by step and, within, by replica.

    What a step holds depends on seed and step alone: epoch e is a permutation of the rows drawn for
    (seed, e), cut into global batches (the remainder is dropped), and each global batch into one
    slice a replica. So a run that starts at step s gets what an uninterrupted one gets from s on,
    and any number of replicas sees the same global batches.

    Args:
        split: the images.
        batch_size: images a step over all replicas.
        seed: draws the permutations.
        first_step: the first step, counted from 0 over all epochs.
        steps: how many steps.
        replicas: how many replicas share a step.
        replica_ids: which of them this dataset feeds, in order; None feeds all.
        shuffle: whether to permute; without it every epoch has the rows in order.

    Returns:
        steps * len(replica_ids) elements of b = batch_size // replicas rows: image uint8
        [b, H, W, C], label int32 [b], key string [b], identity int64 [b] and index (row) int64 [b].

    Raises:
        DataError: the batch is larger than the split, or cannot be divided among the replicas.
    """
    rows = len(split.images)
    if not 1 <= batch_size <= rows:
        raise DataError(f"batch of {batch_size} images, but split {split.name!r} has {rows}")
    if batch_size % replicas:
        raise DataError(f"batch of {batch_size} images cannot be divided among {replicas} replicas")
    ids = tf.constant(range(replicas) if replica_ids is None else replica_ids, tf.int64)
    fed = int(ids.shape[0])
    share = batch_size // replicas
    steps_per_epoch = rows // batch_size
    keys = np.char.encode(split.keys, "utf-8")
    identities = split.identities

    def gather(index: np.ndarray) -> tuple[np.ndarray, ...]:
        key = keys[index].astype(object)
        return split.images[index], split.labels[index], key, identities[index]

    def element(number: tf.Tensor) -> dict[str, tf.Tensor]:
        step = first_step + number // fed
        first = step % steps_per_epoch * batch_size + ids[number % fed] * share
        index = first + tf.range(share, dtype=tf.int64)
        if shuffle:
            index = _permute(index, seed, step // steps_per_epoch, rows)
        types = (tf.uint8, tf.int32, tf.string, tf.int64)
        image, label, key, identity = tf.numpy_function(gather, [index], types, stateful=False)
        image = tf.ensure_shape(image, [share, *split.images.shape[1:]])
        label, key, identity = (tf.ensure_shape(x, [share]) for x in (label, key, identity))
        return {
            "image": image,
            "label": label,
            "key": key,
            "identity": identity,
            "index": tf.ensure_shape(index, [share]),
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
