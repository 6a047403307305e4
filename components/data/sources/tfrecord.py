"""TFRecord source: images in tf.train.Example records that someone else has written."""

from __future__ import annotations

import glob
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

from google.protobuf.message import DecodeError
from pydantic import Field

from twofold.components import files
from twofold.components.data.sources.access import decompression as unpack
from twofold.components.data.sources.access.file_listing import file_stamp
from twofold.components.data.sources.access.record_offsets import (
    DamagedRecordError,
    RecordPosition,
    read_record,
    scan_records,
)
from twofold.components.data.sources.access.spooled_listing import (
    Entry,
    LabelledListing,
    Row,
    Spool,
    read_entries,
)
from twofold.components.data.sources.folders.near_names import split_in_file_name
from twofold.components.data.sources.label_names import (
    MOST_CLASSES,
    describe_classes,
    describe_split,
    is_unlabelled,
    label_text,
    number_classes,
    parse_split,
    parse_weight,
)
from twofold.components.data.sources.source import (
    SOURCES,
    Item,
    Paths,
    Select,
    SourceInfo,
    TableSettings,
    select_all,
)
from twofold.components.data.store.tf_example import Example, masked_crc
from twofold.components.errors import DataError
from twofold.components.settings import scheme_checked

IMAGE_FIELDS = ("image", "image/encoded", "image_raw", "image_bytes")
LABEL_FIELDS = ("label", "image/class/label")


@SOURCES.register
class TfrecordSettings(TableSettings):
    """Settings of existing TFRecord files."""

    name: Literal["tfrecord"] = "tfrecord"
    path: Annotated[Paths, scheme_checked("data.path")] = Field(
        description="files or patterns such as folder/*.tfrecord (a list, or one), also gs://"
    )
    image_field: str | None = Field(
        None, description="the bytes of an image file; null: found by its usual name"
    )

    def build(self) -> TfrecordSource:
        """Builds the source."""
        return TfrecordSource(**self.arguments())


class _Fields(NamedTuple):
    """The name of each field, None for one that is not read."""

    image: str
    label: str | None
    key: str | None
    split: str | None
    group: str | None
    weight: str | None


class TfrecordSource:
    """Images, with labels and more where there are any, of the records of TFRecord files.

    A record is a tf.train.Example whose image field holds the bytes of an image file. A file's name
    says its records' split where a word of it is one of `label_names.SPLIT_NAMES`, in capitals or
    not, as in `train-00000-of-00008.tfrecord` or `cifar10-test.tfrecord`. Unlabelled images have no
    label. Without a key field a key is `<file name>/<position in the file, eight digits>`.

    The files are gone through once, when that is first needed: their headers alone where no field
    but the image is read, otherwise all of them. What stays in memory is eight bytes an image. A
    record whose checksum is wrong is an item that cannot be read. Every process that reads a
    compressed file (whose name ends in .gz) unpacks it into a temporary file first, and keeps four
    such files.

    Args:
        path: files or patterns (`folder/*.tfrecord`), at least one; local or in a bucket
            (`gs://...`).
        image_field: the image's field; None takes the first of image, image/encoded, image_raw and
            image_bytes in the first record.
        label_field: a class's name, or its number (see `number_classes`); a name such as
            unlabelled is none, unless it is among the class names; None takes the first of label
            and image/class/label in the first record.
        key_field: text that no other record has.
        split_field: one of `label_names.SPLIT_NAMES`, or empty for none; instead of what the
            file's name says.
        group_field: what the image belongs to, text or a whole number.
        weight_field: a finite number above 0.
        class_names: the names of labels 0, 1 ...

    Raises:
        DataError: a file is missing or no TFRecord, or its first record has no such fields. Later,
            that a file is damaged, a field is not as described, or two images have the same key.

    """

    def __init__(
        self,
        path: Sequence[str | Path],
        *,
        image_field: str | None,
        label_field: str | None,
        key_field: str | None,
        split_field: str | None,
        group_field: str | None,
        weight_field: str | None,
        class_names: Sequence[str],
    ):
        paths = tuple(file for each in path for file in _find_files(files.resolve(each)))
        self._files = paths
        self._class_names = tuple(class_names)
        named = (image_field, label_field, key_field, split_field, group_field, weight_field)
        self._fields = _find_fields(paths[0], dict(zip(_Fields._fields, named, strict=True)))
        self._held: LabelledListing | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def info(self) -> SourceInfo:
        """Classes, count, and a fingerprint of the records' sizes, checksums and fields."""
        return self._listing().info

    def tasks(self, items: int) -> Iterator[bytes]:
        """Consecutive records, with their label."""
        return self._listing().tasks(items)

    def read(self, task: bytes, selected: Select = select_all) -> Iterator[Item]:
        """The records of a task."""
        return read_entries(
            task, selected, lambda number: _Images(self._files[number], self._fields.image)
        )

    def _listing(self) -> LabelledListing:
        if self._held is None:
            self._held = self._list()
        return self._held

    def _list(self) -> LabelledListing:
        found, unlabelled = dict[str, bool](), set[str]()
        header = repr(("tfrecord", self._fields.image, self._class_names))
        spool = Spool(self._rows(found, unlabelled), header)
        if spool.repeated is not None:
            expected = "names of files that differ, or a key_field"
            if self._fields.key is not None:
                expected = f"another value of {self._fields.key!r} in each record"
            raise DataError(
                f"{spool.repeated.count} images have the key {spool.repeated.key!r} in "
                f"{', '.join(self._files)}; expected {expected}"
            )
        class_names, labels = self._class_names, dict[str, int]()
        if self._fields.label is not None:
            where = f"{self._files[0]}: field {self._fields.label!r}"
            numbers = all(found.values()) or None
            class_names, labels = number_classes(found.keys(), self._class_names, where, numbers)
        info = SourceInfo(
            kind="tfrecord",
            class_names=class_names,
            latent_names=(),
            fingerprint=spool.fingerprint,
            items=spool.items,
            weighted=self._fields.weight is not None,
            taken_as=(*describe_classes(class_names, unlabelled), *self._describe_files()),
        )
        return LabelledListing(spool, info, labels)

    def _describe_files(self) -> list[str]:
        """What was taken as which split because of the files' names, a line each."""
        if self._fields.split is not None:
            return []
        names = map(posixpath.basename, self._files)
        splits = defaultdict[str | None, list[str]](list)
        for name in names:
            splits[split_in_file_name(name)].append(name)
        splits.pop(None, None)
        return [
            describe_split(f"{found[0]}{f' and {len(found) - 1} more' * (len(found) > 1)}", split)
            for split, found in splits.items()
        ]

    def _rows(self, found: dict[str, bool], unlabelled: set[str]) -> Iterator[Row]:
        """The records.

        Each label that they have is put in `found`, with whether it is a number, and texts that
        mean none in `unlabelled`.
        """
        for number, path in enumerate(self._files):
            position = -1
            with _open(path) as file:
                for position, record in enumerate(scan_records(file, path)):
                    values = self._read_fields(file, path, record)
                    row = self._row(number, position, record, values)
                    if row.label is None and is_unlabelled(_label(values)):
                        unlabelled.add(_label(values))
                    if row.label is not None:
                        found[row.label] = isinstance(values["label"], int)
                        if len(found) > MOST_CLASSES:
                            raise DataError(
                                f"{path}: record {position + 1}: field {self._fields.label!r}: "
                                f"expected at most {MOST_CLASSES} different labels, received more"
                            )
                    yield row
            if position < 0:
                raise DataError(f"{path}: no records in it, expected one for each image")

    def _read_fields(self, file: IO[bytes], path: str, record: RecordPosition) -> dict[str, Any]:
        """The values of the fields, if any beside the image is read and the record can be."""
        if not any(self._fields[1:]):
            return {}
        try:
            example = _parse(read_record(file, record.offset, path), path, record.offset)
        except DamagedRecordError:
            return {}
        read = zip(_Fields._fields[1:], self._fields[1:], strict=True)
        return {called: _value(example, name) for called, name in read if name is not None}

    def _row(
        self, number: int, position: int, record: RecordPosition, values: dict[str, Any]
    ) -> Row:
        path = self._files[number]
        name = posixpath.basename(path)
        split = split_in_file_name(name)
        column = "split"
        try:
            if values.get("split") is not None:
                split = parse_split(_text(values["split"]))
            column = "weight"
            weight = parse_weight(values["weight"]) if "weight" in values else 1.0
        except DataError as error:
            field = getattr(self._fields, column)
            raise DataError(f"{path}: record {position + 1}: field {field!r}: {error}") from None
        group, key = (
            None if values.get(each) in (None, b"") else _text(values[each])
            for each in ("group", "key")
        )
        return Row(
            key=key or f"{name}/{position:08d}",
            content_id=_content_id(record, self._fields.image),
            container=number,
            location=str(record.offset).encode(),
            label=label_text(_label(values), split, self._class_names),
            split=split,
            group=group,
            weight=weight,
        )


def _label(values: Mapping[str, Any]) -> str:
    """The text in the label field, empty for none."""
    return "" if values.get("label") in (None, b"") else _text(values["label"])


@dataclass(frozen=True)
class _Images:
    """The images of one file's records, by the records' offsets."""

    path: str
    field: str

    def read(self, entries: Sequence[Entry]) -> Iterator[bytes | Exception]:
        """Each record's image."""
        with _open(self.path) as file:
            for entry in entries:
                try:
                    yield self._read(file, entry)
                except (OSError, DamagedRecordError, DataError) as error:
                    yield error

    def _read(self, file: IO[bytes], entry: Entry) -> bytes:
        offset = int(entry.location)
        data = read_record(file, offset, posixpath.basename(self.path))
        found = RecordPosition(offset, len(data), masked_crc(data))
        if _content_id(found, self.field) != entry.item.content_id:
            raise DataError(f"{self.path}: changed while it was being prepared")
        image = _value(_parse(data, self.path, offset), self.field)
        if not isinstance(image, bytes):
            raise DataError(f"expected bytes in field {self.field!r}, found {image!r}")
        return image


def _content_id(record: RecordPosition, field: str) -> str:
    return f"{record.length} {record.checksum:08x} {field}"


def _find_files(path: str) -> list[str]:
    """The file of this path, or those that it is a pattern of, sorted."""
    found = [path] if files.size(path) is not None else []
    if not found and files.is_remote(path):
        reached, name = files.file_system(path)
        found = [str(reached.unstrip_protocol(each)) for each in reached.glob(name)]
    elif not found:
        matching = glob.glob(path, recursive=True)  # noqa: PTH207 - a Path takes no absolute pattern
        found = [each for each in matching if Path(each).is_file()]
    if not found and files.exists(path):
        raise DataError(
            f"tfrecord source: {path} is a folder: expected files, as in "
            f"{posixpath.join(path, '*.tfrecord')}"
        )
    if not found:
        raise DataError(f"tfrecord source: no such file, and nothing matches it: {path}")
    return sorted(found)


def _find_fields(path: str, named: dict[str, str | None]) -> _Fields:
    """The requested fields, and those that have a usual name in the first record."""
    with _open(path) as file:
        for record in scan_records(file, path):
            try:
                example = _parse(read_record(file, record.offset, path), path, record.offset)
            except DamagedRecordError:
                continue
            break
        else:
            raise DataError(f"{path}: no readable record in it")
    present = example.features.feature
    for usual, name in named.items():
        if name is not None and name not in present:
            raise DataError(
                f"{path}: no field {name!r} ({usual}_field) in its first record; present: "
                f"{', '.join(sorted(present))}"
            )
    for usual, names in (("image", IMAGE_FIELDS), ("label", LABEL_FIELDS)):
        named[usual] = named[usual] or next((name for name in names if name in present), None)
    if named["image"] is None:
        raise DataError(
            f"{path}: no field {' or '.join(map(repr, IMAGE_FIELDS))} in its first record; name "
            f"the image's field (image_field), of {', '.join(sorted(present))}"
        )
    return _Fields(**named)  # type: ignore[arg-type]


def _parse(data: bytes, path: str, offset: int) -> Any:
    try:
        return Example.FromString(data)
    except DecodeError as error:
        raise DataError(
            f"{path}: the record at byte {offset} is no tf.train.Example ({error})"
        ) from error


def _value(example: Any, name: str) -> bytes | int | float | None:
    """The first value of a field, None where there is none."""
    if name not in example.features.feature:
        return None
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    return values[0] if values else None


def _text(value: bytes | int | float) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


@contextmanager
def _open(path: str) -> Iterator[IO[bytes]]:
    try:
        if path.endswith(".gz"):
            opened = unpack.open_unpacked(path, file_stamp(path))
        else:
            opened = files.open_input(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error})") from error
    with opened as file:
        yield file
