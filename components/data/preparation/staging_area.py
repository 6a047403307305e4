"""Staging area of a preparation: the folder and the files that the stages leave for each other.

Every file in it appears whole or not at all and depends on nothing but the source and the settings,
so that a stage that is run again, after a kill or by a runner that retries, finds what is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from twofold.components import files
from twofold.components.data.rules.prepare_settings import PrepareSettings
from twofold.components.data.sources.source import Source
from twofold.components.data.store.image_table import INDEX_SCHEMA, sort_digest
from twofold.components.errors import DataError

# Raised where what the stages leave for each other changes its form: what a killed preparation of
# another version of Twofold left is then not gone on with.
_STAGING_VERSION = 2
_MARKER = "work"
# What the second stage decided: the shards to write, and the sort keys of images left out.
RESOLUTION = "resolution.json"
REMOVED = "removed.npy"

_FOLDERS = ("tasks", "parts", "shards", "dataset")
_PLACED_LATER = ("shard", "offset", "length")

# A row of a part: what the index says of an image, its sort key, by which all images are ordered,
# and where the bytes to store lie. `origin` is -1 for the part's own spool, else a shard of the
# previous dataset.
PART_SCHEMA = pa.schema(
    [
        *[field for field in INDEX_SCHEMA if field.name not in _PLACED_LATER],
        pa.field("sort_key", pa.binary(16), nullable=False),
        pa.field("origin", pa.int32(), nullable=False),
        pa.field("origin_offset", pa.int64(), nullable=False),
        pa.field("origin_length", pa.int64(), nullable=False),
    ]
)


class UselessWorkError(DataError):
    """What the stages left does not fit the source, so that nothing can go on from it."""


@dataclass(frozen=True)
class StagingArea:
    """The folder and what is to be done there; small, since it travels to every worker.

    Attributes:
        directory: local, or with a scheme; all workers reach it.
        source: where the images come from.
        settings: of the preparation.
        previous: an earlier dataset whose work may be used again, None for none.
        weighted: whether records hold weights.

    """

    directory: str
    source: Source
    settings: PrepareSettings
    previous: str | None = None
    weighted: bool = False

    def path(self, folder: str, name: str) -> str:
        """A file in one of the folders: tasks, parts, shards, dataset."""
        return files.join(self.directory, folder, name)

    def make_folders(self) -> None:
        """Make the folders, where they are not there."""
        for name in _FOLDERS:
            files.make_directory(self.folder(name))

    def folder(self, name: str) -> str:
        """One of the folders."""
        return files.join(self.directory, name)

    @property
    def raw(self) -> bool:
        """Whether records hold pixels."""
        return self.settings.images.stored_as == "raw"


@dataclass(frozen=True)
class ShardRange:
    """One shard to write: the images of a split whose sort key begins with these bits.

    Attributes:
        split: the split's name.
        bits: "0" and "1", as many as it takes; empty for the whole split.
        images: how many there are.
        number: its place among all shards, by which runs of parts hold its rows.

    """

    split: str
    bits: str
    images: int
    number: int = 0

    @property
    def name(self) -> str:
        """Names the shard's files in the staging area; sorts like the sort keys."""
        return f"{self.split} {self.bits}"

    def bounds(self) -> tuple[int, int]:
        """The least first word of a sort key in it, and the least above it."""
        low = int(self.bits.ljust(64, "0"), 2) if self.bits else 0
        return low, low + (1 << (64 - len(self.bits)))


def sort_key_of(key: str) -> bytes:
    """What images are ordered by: the first 16 bytes of a hash of its key."""
    return sort_digest(key)[:16]


def structured_sort_keys(sort_keys: np.ndarray) -> np.ndarray:
    """Sort keys, uint64 [N, 2], as one value each, structured [N], which sorts as they do."""
    words = [("high", np.uint64), ("low", np.uint64)]
    return np.ascontiguousarray(sort_keys, np.uint64).view(words).ravel()


def write_json(path: str, content: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    files.write_json(path, content)


def read_json(path: str) -> Any:
    """What `write_json` wrote."""
    return json.loads(files.read_bytes(path))


@functools.lru_cache(maxsize=256)
def open_local(path: str) -> pa.RecordBatch:
    """The rows of a part on disk, mapped into memory, in this process once."""
    return pa.ipc.open_file(pa.memory_map(path)).get_batch(0)


def open_part(staging: StagingArea, part: str) -> pa.RecordBatch:
    """The rows of a part; mapped into memory where the folder is local."""
    path = staging.path("parts", f"{part}.arrow")
    if not files.is_remote(path):
        return open_local(path)
    return open_remote(path)


@functools.lru_cache(maxsize=256)
def open_remote(path: str) -> pa.RecordBatch:
    """The rows of a part in a bucket, fetched by this process once."""
    return pa.ipc.open_file(pa.py_buffer(files.read_bytes(path))).get_batch(0)


class Run:
    """Rows of several parts, a batch for each shard in the order of the shards' numbers.

    Batches are read on demand, by one thread at a time.
    """

    def __init__(self, source: Any):
        self._reader = pa.ipc.open_file(source)
        self._lock = threading.Lock()

    def batch(self, number: int) -> pa.RecordBatch:
        """The rows of a shard."""
        with self._lock:
            return self._reader.get_batch(number)


def open_run(staging: StagingArea, run: str) -> Run:
    """A run of parts, whose batches are read on demand."""
    return open_run_file(staging.path("parts", f"{run}.arrow"))


@functools.lru_cache(maxsize=256)
def open_run_file(path: str) -> Run:
    """The run in a file, opened by this process once."""
    return Run(files.open_input(path) if files.is_remote(path) else pa.memory_map(path))


def spans_of(part: pa.RecordBatch) -> dict[str, list[int]]:
    """Where each split's rows begin and end in a part."""
    spans: dict[str, list[int]] = json.loads(part.schema.metadata[b"spans"])
    return spans


def sort_keys_of(part: pa.RecordBatch) -> np.ndarray:
    """The sort keys of a part's rows, uint64 [N, 2], the first column the more significant."""
    return fixed_binary(part.column("sort_key")).view(">u8").reshape(-1, 2)


def fixed_binary(column: pa.Array) -> np.ndarray:
    """The bytes of a column of fixed-size binaries, uint8 [N, width], without a copy."""
    width = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, width)
    return data[column.offset : column.offset + len(column)]


def read_rejects(
    part: str, staging: StagingArea, parts: Sequence[str] = ()
) -> list[dict[str, str]]:
    """What was rejected of a part, each with key, reason, detail and source_sha256.

    Args:
        part: its name.
        staging: where it lies.
        parts: names of all parts; where one is of what could not be read of this part, that part
            has the answer.

    """
    content = files.read_bytes(staging.path("parts", f"{part}.rejects"))
    rejects = [json.loads(line) for line in content.splitlines()]
    if retry_of(part) in parts:
        return [reject for reject in rejects if not is_unread(reject)]
    return rejects


def is_unread(reject: Mapping[str, str]) -> bool:
    """Whether the file could not be read, and not its content was refused."""
    return not reject["source_sha256"]


def retry_of(task: str) -> str:
    """Names the task that tries what could not be read of a task once more."""
    return f"{task}+"


def is_retry(task: str) -> bool:
    """Whether a task tries what could not be read before."""
    return task.endswith("+")


def read_resolution(staging: StagingArea) -> dict[str, Any]:
    """What `resolve` wrote down."""
    resolution: dict[str, Any] = read_json(staging.path("parts", RESOLUTION))
    return resolution


@contextmanager
def open_staging(path: str, work: str, *, abandoned: str) -> Iterator[None]:
    """A directory to work in, found as it was left by a killed process that did the same work.

    It is removed where the block ends without an exception. After one it is kept, if images have
    been read, and the exception gets a note of that, unless the work is of no use. On a local
    disk one process at a time is in the block, others wait; in a bucket nothing keeps them apart,
    and what they write is the same.

    Args:
        path: the directory, local or with a scheme.
        work: names the work; a directory left by other work is emptied.
        abandoned: directories beside it whose names begin so are removed, unless a process is in
            them.

    """
    parent, _, name = path.rpartition("/")
    with contextlib.ExitStack() as stack:
        if not files.is_remote(path):
            Path(parent).mkdir(parents=True, exist_ok=True)
            files.remove_abandoned(Path(parent), abandoned, but=name)
            stack.callback(os.close, _lock(Path(path)))
        marker, content = files.join(path, _MARKER), f"{work} {_STAGING_VERSION}"
        if not files.exists(marker) or files.read_bytes(marker) != content.encode():
            # The marker first, as in `_remove`; the directory itself is locked.
            files.remove_tree(marker)
            for each in files.names(path):
                files.remove_tree(files.join(path, each))
            files.write_text(marker, content)
        for each in ("", *_FOLDERS):
            files.remove_temporary(files.join(path, each))
        try:
            yield
        except BaseException as error:
            if isinstance(error, UselessWorkError):
                _remove(path)
            else:
                _keep(path, error)
            raise
        _remove(path)


def _keep(path: str, error: BaseException) -> None:
    """Note in an exception what is kept; what holds no images is removed."""
    try:
        parts = files.names(files.join(path, "parts"))
    except Exception:
        # A bucket that cannot be reached, which may be why it failed.
        return
    if not any(name.endswith(".arrow") and name != "previous.arrow" for name in parts):
        _remove(path)
        return
    kept = f"what is done is kept in {path}: the same command goes on from there"
    if not isinstance(error, Exception):
        error.add_note(kept)
        return
    error.add_note(
        f"{kept}, also with another "
        f"data.max_reject_share, and tries files again that could not be read; to give it up, "
        f"remove that folder"
    )


def _remove(path: str) -> None:
    # The marker first: what is half removed is not to be gone on with.
    files.remove_tree(files.join(path, _MARKER))
    files.remove_tree(path)


def discard_abandoned(path: str) -> None:
    """Remove a working directory that a killed process left, unless a process is in it."""
    parent, _, name = path.rpartition("/")
    # A process that is in it has read the marker.
    files.remove_tree(files.join(path, _MARKER))
    if files.is_remote(path):
        files.remove_tree(path)
    elif Path(parent).is_dir():
        files.remove_abandoned(Path(parent), name)


def _lock(path: Path) -> int:
    """Lock a directory that is made where it is missing, waiting for others; its descriptor."""
    while True:
        path.mkdir(exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Whoever had the lock may have removed the directory.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        os.close(descriptor)
