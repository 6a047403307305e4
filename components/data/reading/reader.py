"""Data set reader: a split as one array, and its batches as a function of seed and step."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import tensorflow as tf
from PIL import Image

from twofold.components import files
from twofold.components.data.reading import decoded_cache as caches
from twofold.components.data.reading.encoded_images import Decoding, EncodedImages
from twofold.components.data.reading.label_subset import labelled_rows, unlabelled_rows
from twofold.components.data.reading.record_index import Records, copy_shards
from twofold.components.data.reading.row_streams import FIELDS, Stream, stream_elements
from twofold.components.data.reading.sampling import draws_of, rows_to_draw
from twofold.components.data.reading.split import Split
from twofold.components.data.store.image_table import read_split_index
from twofold.components.data.store.manifest import Manifest, SplitRecord, load_manifest
from twofold.components.data.store.record_schema import IMAGE, SHAPE, parse
from twofold.components.errors import DataError

_PLACES = ("key", "shard", "offset", "length")
_STORED = ("height", "width", "channels")


def load_split(
    dataset_dir: Path | str,
    split: str,
    *,
    decode: Callable[[tf.Tensor], tf.Tensor],
    size: tuple[int, int],
    channels: int,
    fit: Callable[[tf.Tensor], tf.Tensor] | None = None,
    cache: str = "auto",
    cache_dir: Path | str | None = None,
    cache_key: str = "",
    progress: Callable[[int], None] | None = None,
) -> Split:
    """A split, in the order of its shards, its images decoded once or whenever they are read.

    Either way the images are the same, and so is what training draws from them. Every record is
    held to its checksums when it is read.

    Args:
        dataset_dir: the folder that `prepare` wrote, which may be in a bucket.
        split: one of its splits.
        decode: JPEG or PNG bytes, a scalar string, to uint8 [H, W, C]; runs in a graph. Not called
            where the dataset holds pixels.
        size: the height and width that `decode` is to give.
        channels: the channels that `decode` is to give.
        fit: stored pixels, uint8 [h, w, C], to uint8 [H, W, C], where the dataset holds pixels;
            runs in a graph; None where they have the size already.
        cache: where to keep the decoded images: `memory`, `disk` (memory-mapped), `off` (nowhere:
            `images` is an `EncodedImages`), or `auto`, which takes the first of these that there is
            room for; see `twofold.components.data.reading.decoded_cache`.
        cache_dir: the folder for decoded images and for copies of shards in a bucket; None takes
            `decoded` in the dataset's folder, or for a dataset in a bucket one in the user's cache.
        cache_key: names the rule that `decode` and `fit` follow, since decoded images are used
            again only where the dataset, split, size, channels and this are the same; in memory
            none are where it is empty.
        progress: called with the number of images decoded, or copied, so far, if any have to be.

    Raises:
        DataError: no such dataset or split, or a damaged one, or an image that is decoded to
            another size or number of channels.
    """
    manifest, record = _find_split(dataset_dir, split)
    columns = [*_PLACES, *_STORED, "label", "latents", "weight"]
    table = _read_rows(dataset_dir, manifest, split, columns)
    shape = (*size, channels)
    decoding = Decoding(decode, fit, shape, manifest.raw, _stored_shape(table))
    images = EncodedImages(_records(dataset_dir, record, table), decoding)
    folder = Path(cache_dir) if cache_dir is not None else _own_folder(dataset_dir, manifest)
    content = json.dumps([manifest.fingerprint, split, images.shape, cache_key])
    digest = hashlib.sha256(content.encode()).hexdigest()
    decoded = caches.decoded(
        images,
        cache=cache,
        target=folder / f"{split}-{digest[:16]}",
        keep_as=digest if cache_key else None,
        progress=progress,
    )
    if decoded is None:
        if files.is_remote(dataset_dir):
            copies = folder / f"shards-{manifest.fingerprint[:16]}"
            images = EncodedImages(copy_shards(images.records, copies, progress), decoding)
        images.check(np.arange(min(1, len(images))))
    return Split(
        images=cast(np.ndarray, images) if decoded is None else decoded,
        labels=_column(table, "label"),
        keys=images.records.keys,
        latents=_latents(table, len(manifest.latent_names)),
        class_names=manifest.class_names,
        latent_names=manifest.latent_names,
        name=split,
        weights=_column(table, "weight") if manifest.weighted else None,
    )


def read_encoded(dataset_dir: Path | str, split: str, count: int) -> list[bytes]:
    """The image files of a split's first rows, as `load_split` orders them, at most `count`.

    Where the dataset holds pixels, these are PNG files of them.

    Raises:
        DataError: no such dataset or split, or a damaged one.
    """
    manifest, record = _find_split(dataset_dir, split)
    table = _read_rows(dataset_dir, manifest, split, list(_PLACES)).slice(0, count)
    records = _records(dataset_dir, record, table)
    examples = tf.constant(records.read(np.arange(len(records))), tf.string)
    fields = parse(examples, 0, raw=manifest.raw)
    encoded: list[bytes] = fields[IMAGE].numpy().tolist()
    if manifest.raw:
        shapes = fields[SHAPE].numpy()
        return [_as_png(pixels, shape) for pixels, shape in zip(encoded, shapes, strict=True)]
    return encoded


def _as_png(content: bytes, shape: np.ndarray) -> bytes:
    pixels = np.frombuffer(content, np.uint8).reshape(shape)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def _find_split(directory: Path | str, split: str) -> tuple[Manifest, SplitRecord]:
    manifest = load_manifest(directory)
    if split not in manifest.splits:
        raise DataError(f"{directory} has no split {split!r}; it has {', '.join(manifest.splits)}")
    return manifest, manifest.splits[split]


def _read_rows(
    directory: Path | str, manifest: Manifest, split: str, columns: list[str]
) -> pa.Table:
    path = files.join(directory, manifest.images.file)
    try:
        table = read_split_index(directory, manifest, split, columns)
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: split {split!r} could not be read: {reason}") from error
    expected = manifest.splits[split].images
    if len(table) != expected:
        raise DataError(
            f"{path}: expected {expected} images of split {split!r} as in the manifest, "
            f"found {len(table)}"
        )
    return table


def _records(directory: Path | str, record: SplitRecord, table: pa.Table) -> Records:
    keys = table.column("key").to_pylist()
    return Records(
        files=tuple(files.join(directory, shard.file) for shard in record.shards),
        shard=_column(table, "shard"),
        offset=_column(table, "offset"),
        length=_column(table, "length"),
        # Of any length each: as wide as the longest one, a million paths are a quarter gigabyte.
        keys=np.array(keys, np.dtypes.StringDType()),
    )


def _column(table: pa.Table, name: str) -> np.ndarray:
    values: np.ndarray = table.column(name).to_numpy()
    return values


def _latents(table: pa.Table, count: int) -> np.ndarray:
    values: np.ndarray = table.column("latents").combine_chunks().flatten().to_numpy()
    return values.reshape(len(table), count)


def _stored_shape(table: pa.Table) -> tuple[int, int, int] | None:
    """The one shape in which all images are stored, None where there are several."""
    shapes = [np.unique(_column(table, name)) for name in _STORED]
    if any(len(values) != 1 for values in shapes):
        return None
    height, width, channels = (int(values[0]) for values in shapes)
    return height, width, channels


def _own_folder(directory: Path | str, manifest: Manifest) -> Path:
    """Where decoded images are kept if nobody says where."""
    if not files.is_remote(directory):
        return Path(directory) / "decoded"
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(user) / "twofold" / manifest.fingerprint[:16]


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
    sampling: str = "uniform",
    keep_last: bool = False,
    fields: Sequence[str] = FIELDS,
) -> tf.data.Dataset:
    """Batches for `steps` training steps from `first_step`, step by step and, within, by replica.

    What a step holds depends on seed and step alone: epoch e is a permutation of the rows drawn for
    (seed, e), cut into global batches (the remainder is dropped, or a last one), and each global
    batch into one slice a replica. So a run that starts at step s gets what an uninterrupted one
    gets from s on, and any number of replicas sees the same global batches. With another sampling
    than `uniform` each position in a global batch is a draw for (seed, step, position), with
    replacement.

    Go through the elements with `row_streams.iterate`: it raises what reading raised.

    Args:
        split: the images.
        batch_size: images a step over all replicas.
        seed: draws the permutations.
        first_step: the first step, counted from 0 over all epochs.
        steps: how many steps.
        replicas: how many replicas share a step.
        replica_ids: which of them this dataset is for, in order; None for all.
        shuffle: whether to permute; without it every epoch has the rows in order.
        labelled_only: whether to leave out the rows without a label.
        sampling: `uniform`; `balanced`, which draws each class equally often, and no row without a
            label; or `weighted`, which draws by the split's weights.
        keep_last: whether the rows of an epoch that fill no batch are a last, smaller one, which
            has no meaning with another sampling than `uniform`.
        fields: which of the fields to give; text is slow to gather.

    Returns:
        steps * len(replica_ids) elements of b = batch_size // replicas rows: image uint8
        [b, H, W, C], label int32 [b], key string [b], key_hash int64 [b] and index (row) int64 [b].

    Raises:
        DataError: the batch is larger than the split and not kept as a last one, or a batch cannot
            be divided among the replicas; or `sampling` needs labels or weights that the split does
            not have.
    """
    _check_fields(fields)
    rows = rows_to_draw(split, sampling=sampling, labelled_only=labelled_only)
    keep_last = keep_last and sampling == "uniform"
    if batch_size < 1 or len(rows) < (1 if keep_last else batch_size):
        kind = "images" if len(rows) == len(split.labels) else "labelled images"
        raise DataError(f"batch of {batch_size} {kind}, but split {split.name!r} has {len(rows)}")
    for size in (batch_size, len(rows) % batch_size if keep_last else 0):
        if size % replicas:
            raise DataError(f"batch of {size} images cannot be divided among {replicas} replicas")
    draws = draws_of(split, rows, sampling=sampling, seed=seed)
    stream = Stream(
        split, rows, batch_size // replicas, batch_size, seed, shuffle, draws, keep_last
    )
    return stream_elements([stream], first_step, steps, replicas, replica_ids, fields)


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
    sampling: str = "uniform",
    fields: Sequence[str] = FIELDS,
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
        replica_ids: which of them this dataset is for, in order; None for all.
        sampling: as of `batches`; `balanced` is about the labelled images alone.
        fields: which of the fields to give.

    Returns:
        steps * len(replica_ids) elements with the fields of `batches`, of
        b = (unlabelled_batch_size + labelled_batch_size) // replicas rows, the last
        labelled_batch_size // replicas of them labelled; index is a row of the split drawn from.

    Raises:
        DataError: a batch size is larger than the rows that it is drawn from or cannot be divided
            among the replicas, or the images of the two splits differ in shape; or `sampling` needs
            labels or weights that are not there.
    """
    _check_fields(fields)
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
        # Images without a label are of no class that could be balanced.
        own = "uniform" if sampling == "balanced" and kind == "unlabelled" else sampling
        draws = draws_of(split, rows, sampling=own, seed=stream_seed)
        streams.append(Stream(split, rows, size // replicas, size, stream_seed, True, draws))
    return stream_elements(streams, first_step, steps, replicas, replica_ids, fields)


def _check_fields(fields: Sequence[str]) -> None:
    unknown = [name for name in fields if name not in FIELDS]
    if unknown or not fields:
        raise DataError(f"fields must be some of {', '.join(FIELDS)}, received {list(fields)}")


def _other_seed(seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"labelled:{seed}".encode()).digest()[:8])
