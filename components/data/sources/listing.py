"""Listing source: image files that a CSV or Parquet table names, with labels, splits, weights."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from twofold.components import files
from twofold.components.data.sources.access.file_listing import file_stamps, read_files
from twofold.components.data.sources.access.spooled_listing import (
    Entry,
    LabelledListing,
    Row,
    Spool,
    read_entries,
)
from twofold.components.data.sources.access.tables import column_names, read_columns
from twofold.components.data.sources.label_names import (
    MOST_CLASSES,
    describe_classes,
    is_unlabelled,
    label_text,
    number_classes,
    parse_split,
    parse_weight,
)
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    OnePath,
    PathText,
    Select,
    SourceInfo,
    TableSettings,
    select_all,
)
from twofold.components.errors import DataError
from twofold.components.settings import scheme_checked

# The content id of a file that is not there.
_MISSING = "missing"


@SOURCES.register
class ListingSettings(TableSettings):
    """Settings of image files that a table names."""

    name: Literal["listing"] = "listing"
    path: Annotated[OnePath, scheme_checked("data.path")] = Field(
        description="one CSV or Parquet file, also gs://"
    )
    image_field: str | None = Field(None, description="the column of paths; null: path")
    root: Annotated[PathText, scheme_checked("data.root")] | None = Field(
        None, description="what relative paths start from; null: the table's folder"
    )

    def build(self) -> ListingSource:
        """Builds the source."""
        return ListingSource(**self.arguments() | {"path": self.path[0]})


class ListingSource:
    """The image files that the rows of a CSV (also .csv.gz) or Parquet file name.

    Columns, of which all but the first may be missing:

    - path: relative to the table's folder or to `root`, absolute, or in a bucket (`gs://...`);
    - label: a class's name, or its number (see `number_classes`); empty for none, and so is a name
      such as unlabelled, unless it is among the class names;
    - split: one of `label_names.SPLIT_NAMES`, in capitals or not; empty for none. Unlabelled
      images have no label;
    - group: what the image belongs to; empty for nothing;
    - weight: a finite number above 0;
    - key: text that no other row has; without the column, the path as it is written.

    The table is read once, in a stream, when that is first needed; what stays in memory is eight
    bytes an image. Each file's size and time are looked up then; a file that is missing is an item
    that cannot be read.

    Args:
        path: the table, local or in a bucket.
        root: what relative paths are relative to; None takes the table's folder.
        image_field: the name of the column of paths; None takes `path`.
        label_field: of labels; None takes `label` where there is one.
        split_field: of splits; None takes `split` where there is one.
        group_field: of groups; None takes `group` where there is one.
        weight_field: of weights; None takes `weight` where there is one.
        key_field: of keys; None takes `key` where there is one.
        class_names: the names of labels 0, 1 ...

    Raises:
        DataError: there is no such table, or it has no such column. Later, that a row is not as
            described, or that two have the same key.

    """

    def __init__(
        self,
        path: str | Path,
        *,
        root: str | Path | None,
        image_field: str | None,
        label_field: str | None,
        split_field: str | None,
        group_field: str | None,
        weight_field: str | None,
        key_field: str | None,
        class_names: Sequence[str],
    ):
        self._path = files.resolve(path)
        self._root = posixpath.dirname(self._path) if root is None else files.resolve(root)
        self._class_names = tuple(class_names)
        asked = {
            "path": image_field or "path",
            "label": label_field,
            "split": split_field,
            "group": group_field,
            "weight": weight_field,
            "key": key_field,
        }
        self._columns = _find_columns(self._path, asked)
        self._held: LabelledListing | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, count, and a fingerprint of the rows and of the files' sizes and times."""
        return self._listing().info

    def tasks(self, items: int) -> Iterator[bytes]:
        """Consecutive rows, with their label."""
        return self._listing().tasks(items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The files of a task."""
        return read_entries(task, selected, lambda _: _Files(self._root))

    def _listing(self) -> LabelledListing:
        if self._held is None:
            self._held = self._list()
        return self._held

    def _list(self) -> LabelledListing:
        found, unlabelled = set[str](), set[str]()
        spool = Spool(self._rows(found, unlabelled), repr(("listing", self._class_names)))
        if not spool.items:
            raise DataError(f"{self._path}: no rows in it, expected one for each image")
        if spool.repeated is not None:
            raise DataError(
                f"{self._path}: rows {spool.repeated.first + 1} and {spool.repeated.second + 1}: "
                f"column {self._columns.get('key', self._columns['path'])!r}: expected keys that "
                f"no other row has, received {spool.repeated.key!r} {spool.repeated.count} times"
            )
        class_names, labels = self._class_names, dict[str, int]()
        if "label" in self._columns:
            where = f"{self._path}: column {self._columns['label']!r}"
            class_names, labels = number_classes(found, self._class_names, where)
        info = SourceInfo(
            kind="listing",
            class_names=class_names,
            latent_names=(),
            fingerprint=spool.fingerprint,
            items=spool.items,
            weighted="weight" in self._columns,
            taken_as=describe_classes(class_names, unlabelled),
        )
        return LabelledListing(spool, info, labels)

    def _rows(self, found: set[str], unlabelled: set[str]) -> Iterator[Row]:
        """The rows; their labels are added to `found`, texts that mean none to `unlabelled`."""
        number = 0
        for columns in read_columns(self._path, self._columns):
            for column, (first, *_) in columns.items():
                if column != "weight" and not isinstance(first, str):
                    what = f"expected text or whole numbers, received {first!r}"
                    raise self._refused(number + 1, column, what)
            stamps = file_stamps([_locate(self._root, path) for path in columns["path"]])
            for values, stamp in zip(zip(*columns.values(), strict=True), stamps, strict=True):
                number += 1
                named = dict(zip(columns, values, strict=True))
                row = self._row(number, named, stamp)
                if row.label is None and is_unlabelled(named.get("label", "")):
                    unlabelled.add(named["label"])
                if row.label is not None:
                    found.add(row.label)
                    if len(found) > MOST_CLASSES:
                        expected = f"expected at most {MOST_CLASSES} different labels"
                        raise self._refused(number, "label", f"{expected}, received more")
                yield row

    def _row(self, number: int, values: dict[str, Any], stamp: str | None) -> Row:
        """One row, counted from 1."""
        path = values["path"]
        key = values.get("key", path)
        for column, text in (("path", path), ("key", key)):
            if not text:
                raise self._refused(number, column, "expected text, received ''")
        column = "split"
        try:
            split = parse_split(values.get("split", ""))
            column = "weight"
            weight = parse_weight(values.get("weight", 1.0))
        except DataError as error:
            raise self._refused(number, column, str(error)) from None
        label = label_text(values.get("label"), split, self._class_names)
        group = values.get("group") or None
        content_id, location = stamp or _MISSING, b""
        if path != key:
            content_id, location = f"{content_id} {path}", path.encode()
        return Row(key, content_id, 0, location, label, split, group, weight)

    def _refused(self, number: int, column: str, what: str) -> DataError:
        name = self._columns.get(column, self._columns["path"])
        return DataError(f"{self._path}: row {number}: column {name!r}: {what}")


@dataclass(frozen=True)
class _Files:
    """Files at their entries' locations, which are relative to a root or absolute."""

    root: str

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """Their bytes; of a file that has changed since it was listed, that it has."""
        names = [entry.location.decode() for entry in entries]
        paths = [
            _locate(self.root, name or entry.item.key)
            for name, entry in zip(names, entries, strict=True)
        ]
        stamps = [
            entry.item.content_id.removesuffix(f" {name}")
            for name, entry in zip(names, entries, strict=True)
        ]
        return read_files(paths, stamps)


def _locate(root: str, path: str) -> str:
    return path if files.is_remote(path) else posixpath.join(root, path)


def _find_columns(path: str, asked: dict[str, str | None]) -> dict[str, str]:
    """The requested columns, and those that have their usual name; by the usual name."""
    present = column_names(path)
    found = {usual: usual if name is None else name for usual, name in asked.items()}
    for usual, name in asked.items():
        if name is not None and name not in present:
            setting = "image_field" if usual == "path" else f"{usual}_field"
            raise DataError(
                f"{path}: no column {name!r} ({setting}); present: {', '.join(present)}"
            )
    return {usual: name for usual, name in found.items() if name in present}
