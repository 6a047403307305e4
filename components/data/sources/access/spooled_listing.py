"""Spooled listing, longer than memory: rows in a temporary file, and tasks cut from them.

While a source is listed its rows pass by once. They are written to an Arrow file, hashed into the
fingerprint and looked at for repeated keys; what stays in memory is eight bytes an image.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from twofold.components.data.sources.access.temporary_files import TemporaryFile
from twofold.components.data.sources.source import Item, Select, SourceInfo

_ROWS = 4096
# So many of the keys that may be repeated are looked at again; one is enough for the message.
_SUSPECTS = 1000


class Row(NamedTuple):
    """One image as it is listed.

    Attributes:
        key: see `Item`.
        content_id: see `Item`.
        container: the number of the file or folder that it lies in.
        location: what the container needs to find it there.
        label: its class's name, or the label as text; None without.
        split: see `Item`.
        group: see `Item`.
        weight: see `Item`.

    """

    key: str
    content_id: str
    container: int = 0
    location: bytes = b""
    label: str | None = None
    split: str | None = None
    group: str | None = None
    weight: float = 1.0


class Entry(NamedTuple):
    """One image of a task: all of its item except the image, and where that is."""

    item: Item
    container: int
    location: bytes


class Container(Protocol):
    """What images are read from."""

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """The bytes of each entry in order, or why one cannot be read."""


@dataclass(frozen=True)
class Repeated:
    """A key that several rows have: how many, and the first two (counted from 0)."""

    key: str
    count: int
    first: int
    second: int


_COMMON = (
    ("key", pa.string()),
    ("content_id", pa.string()),
    ("container", pa.int32()),
    ("location", pa.binary()),
)
_REST = (("split", pa.string()), ("group", pa.string()), ("weight", pa.float64()))
_LISTED = pa.schema([*_COMMON, ("label", pa.string()), *_REST])
_TASK = pa.schema([*_COMMON, ("label", pa.int32()), *_REST])


class Spool:
    """Rows in a temporary file that goes with this object.

    Args:
        rows: they are taken one by one.
        header: what the fingerprint covers beside the rows.

    Attributes:
        items: how many rows.
        fingerprint: sha256 (hex) of header and rows, wherever their containers lie.
        repeated: a key that is not unique, None where all are.

    """

    def __init__(self, rows: Iterable[Row], header: str):
        self._file = TemporaryFile()
        digest = hashlib.sha256(header.encode("utf-8", "backslashreplace"))
        hashes = array("q")
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        rows = iter(rows)
        with pa.ipc.new_stream(self._file.writer, _LISTED, options=options) as writer:
            while some := list(itertools.islice(rows, _ROWS)):
                digest.update("".join(map(_line, some)).encode())
                hashes.extend(hash(row.key) for row in some)
                columns = dict(zip(Row._fields, zip(*some, strict=True), strict=True))
                writer.write_batch(_batch(_LISTED, columns))
        self._file.writer.flush()
        self.items = len(hashes)
        self.fingerprint = digest.hexdigest()
        self.repeated = self._find_repeated(np.frombuffer(hashes, np.int64))

    def tasks(
        self, items: int, label_and_split: Callable[[Row], tuple[int, str | None] | None]
    ) -> Iterator[bytes]:
        """The rows as tasks of at most `items`.

        Args:
            items: rows a task.
            label_and_split: of a row, the item's label and split; None leaves it out.

        """
        for listed in self._in_portions(items):
            told = [(row, label_and_split(row)) for row in listed]
            taken = [(row, *both) for row, both in told if both is not None]
            if not taken:
                continue
            rows, labels, splits = zip(*taken, strict=True)
            columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
            batch = _batch(_TASK, {**columns, "label": labels, "split": splits})
            yield batch.serialize().to_pybytes()

    def _in_portions(self, size: int) -> Iterator[list[Row]]:
        rows = self.rows()
        while some := list(itertools.islice(rows, size)):
            yield some

    def rows(self) -> Iterator[Row]:
        """The rows as they were listed."""
        # A memory map would keep all that was read in the process's resident memory.
        with self._file.open() as file, pa.ipc.open_stream(file) as reader:
            for batch in reader:
                yield from map(Row._make, zip(*_columns(batch, Row._fields), strict=True))

    def _find_repeated(self, hashes: np.ndarray) -> Repeated | None:
        ordered = np.sort(hashes)
        suspects = set(np.unique(ordered[1:][ordered[1:] == ordered[:-1]])[:_SUSPECTS].tolist())
        if not suspects:
            return None
        seen: dict[str, list[int]] = {}
        for position, row in enumerate(self.rows()):
            if hash(row.key) in suspects:
                # Count, first position, second position.
                found = seen.setdefault(row.key, [0, position, position])
                found[0] += 1
                if found[0] == 2:
                    found[2] = position
        key = max(seen, key=lambda each: seen[each][0])
        count, first, second = seen[key]
        # Two keys may share a hash.
        return Repeated(key, count, first, second) if count > 1 else None


@dataclass(frozen=True)
class LabelledListing:
    """A listing whose rows have labels of their own: the label of each text in that field."""

    spool: Spool
    info: SourceInfo
    labels: Mapping[str, int]

    def tasks(self, items: int) -> Iterator[bytes]:
        """The rows as tasks of `items`."""

        def label_and_split(row: Row) -> tuple[int, str | None]:
            return -1 if row.label is None else self.labels[row.label], row.split

        return self.spool.tasks(items, label_and_split)


def entries_of(task: bytes) -> list[Entry]:
    """What a task of `Spool.tasks` holds."""
    batch = pa.ipc.read_record_batch(pa.py_buffer(task), _TASK)
    columns = dict(zip(_TASK.names, _columns(batch, _TASK.names), strict=True))
    containers, locations = columns.pop("container"), columns.pop("location")
    rows = zip(*columns.values(), strict=True)
    items = [Item(image=b"", **dict(zip(columns, row, strict=True))) for row in rows]
    return list(map(Entry._make, zip(items, containers, locations, strict=True)))


def read_entries(
    task: bytes, selected: Select, containers: Callable[[int], Container]
) -> Iterator[Item]:
    """The items of a task, each container opened once for all that is selected of it in a row.

    Args:
        task: one of `Spool.tasks`.
        selected: see `Source.read`.
        containers: of a container's number, the container.

    """
    for number, grouped in itertools.groupby(entries_of(task), lambda entry: entry.container):
        entries = list(grouped)
        chosen = [selected(entry.item.key, entry.item.content_id) for entry in entries]
        asked = list(itertools.compress(entries, chosen))
        contents = containers(number).read(asked) if asked else iter(())
        for entry, is_wanted in zip(entries, chosen, strict=True):
            content = next(contents) if is_wanted else b""
            if isinstance(content, bytes):
                yield replace(entry.item, image=content)
            else:
                yield replace(entry.item, problem=str(content) or type(content).__name__)


def _line(row: Row) -> str:
    said = (row.key, row.content_id, row.label, row.split, row.group, row.weight)
    return f"{said!r}\n"


def _batch(schema: pa.Schema, columns: dict[str, Any]) -> pa.RecordBatch:
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def _columns(batch: pa.RecordBatch, names: Sequence[str]) -> list[list[Any]]:
    return [batch.column(name).to_pylist() for name in names]
