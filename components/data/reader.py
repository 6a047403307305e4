"""A prepared split as one array, and batches of it as a pure function of seed and step."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.data import schema
from components.data.errors import DataError
from components.data.manifest import Manifest, SplitRecord, load_manifest
from components.data.split import Split
from components.data.staging import staged_directory
from components.data.streams import Stream, stream_elements
from components.data.subset import labelled_rows, unlabelled_rows

_DECODE_BATCH = 256
_CACHE_IMAGES = "images.npy"
_CACHE_ROWS = "rows.npz"


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
    labelled_only: bool = False,
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
        labelled_only: whether to leave out the rows without a label.

    Returns:
        steps * len(replica_ids) elements of b = batch_size // replicas rows: image uint8
        [b, H, W, C], label int32 [b], key string [b], identity int64 [b] and index (row) int64 [b].

    Raises:
        DataError: the batch is larger than the split, or cannot be divided among the replicas.
    """
    rows = labelled_rows(split) if labelled_only else np.arange(len(split.images))
    if not 1 <= batch_size <= len(rows):
        kind = "labelled images" if labelled_only else "images"
        raise DataError(f"batch of {batch_size} {kind}, but split {split.name!r} has {len(rows)}")
    if batch_size % replicas:
        raise DataError(f"batch of {batch_size} images cannot be divided among {replicas} replicas")
    stream = Stream(split, rows, batch_size // replicas, batch_size, seed, shuffle)
    return stream_elements([stream], first_step, steps, replicas, replica_ids)


def mixed_batches(
    unlabelled: Split,
    labelled: Split,
    *,
    unlabelled_batch_size: int,
    labelled_batch_size: int,
    seed: int,
    first_step: int,
    steps: int,
    replicas: int = 1,
    replica_ids: Sequence[int] | None = None,
) -> tf.data.Dataset:
    """As `batches`, but of two streams that each go through their rows at their own pace.

    One stream draws from the rows of `unlabelled` that have no label, the other from those of
    `labelled` that have one; the two may be the same split. Each has permutations and epochs of its
    own, which depend on seed and step alone. In every element a replica's unlabelled images come
    first and its labelled images last.

    Args:
        unlabelled: where images without a label are drawn from; its labelled rows are never drawn.
        labelled: where images with a label are drawn from; its unlabelled rows are never drawn.
        unlabelled_batch_size: unlabelled images a step over all replicas.
        labelled_batch_size: labelled images a step over all replicas.
        seed: draws the permutations of both streams.
        first_step: the first step, counted from 0 over all epochs.
        steps: how many steps.
        replicas: how many replicas share a step.
        replica_ids: which of them this dataset feeds, in order; None feeds all.

    Returns:
        steps * len(replica_ids) elements with the fields of `batches`, of
        b = (unlabelled_batch_size + labelled_batch_size) // replicas rows, the last
        labelled_batch_size // replicas of them labelled; index is a row of the split drawn from.

    Raises:
        DataError: a batch size is larger than the rows that it is drawn from or cannot be divided
            among the replicas, or the images of the two splits differ in shape.
    """
    if unlabelled.images.shape[1:] != labelled.images.shape[1:]:
        raise DataError(
            f"the images of split {labelled.name!r} are {labelled.images.shape[1:]}; expected "
            f"{unlabelled.images.shape[1:]} as in split {unlabelled.name!r}"
        )
    streams = []
    for kind, split, rows, size, stream_seed in (
        ("unlabelled", unlabelled, unlabelled_rows(unlabelled), unlabelled_batch_size, seed),
        # Equal seeds would pair the same positions again and again where both have as many rows.
        ("labelled", labelled, labelled_rows(labelled), labelled_batch_size, _other_seed(seed)),
    ):
        field = f"{kind}_batch_size={size}"
        if not 1 <= size <= len(rows):
            raise DataError(f"{field}, but split {split.name!r} has {len(rows)} {kind} images")
        if size % replicas:
            raise DataError(f"{field} cannot be divided among {replicas} replicas")
        streams.append(Stream(split, rows, size // replicas, size, stream_seed, True))
    return stream_elements(streams, first_step, steps, replicas, replica_ids)


def _other_seed(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"labelled:{seed}".encode()).digest()[:8])
