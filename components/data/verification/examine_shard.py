"""Shard examination: its records and their images, read once from front to back."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from google.protobuf.message import DecodeError

from twofold.components.data.rules.duplicates import pixel_digest
from twofold.components.data.rules.image_rules import ImageRules, RejectedError, check
from twofold.components.data.store import record_schema
from twofold.components.data.store.pixel_statistics import pixel_sums
from twofold.components.data.store.tf_example import FOOTER, HEADER, Example, masked_crc

_LENGTH_BYTES = 8
# What was accepted by stricter rules is accepted by these.
_RULES = ImageRules(min_side=1, max_pixels=89_478_485, one_colour="keep", other_formats="reject")


@dataclass(frozen=True)
class Framed:
    """One record: where it begins, how long it is with its frame, and its data or what is wrong."""

    offset: int
    length: int
    data: bytes
    problem: str = ""


def read_records(file: IO[bytes], size: int, starts: Sequence[int]) -> Iterator[Framed]:
    """The records of a TFRecord file, also of a damaged one.

    Args:
        file: at its front, seekable.
        size: the file's bytes.
        starts: where records are said to begin, ascending. A record whose length is damaged does
            not tell where the next one begins; the reading goes on at the next of these.

    """
    offset = 0
    while offset < size:
        head = file.read(HEADER.size)
        if len(head) < HEADER.size:
            yield Framed(offset, 0, b"", "the file ends within its head")
            return
        length, checksum = HEADER.unpack(head)
        whole = HEADER.size + length + FOOTER.size
        if checksum != masked_crc(head[:_LENGTH_BYTES]):
            yield Framed(offset, 0, b"", "the checksum of its length does not hold")
            following = bisect.bisect_left(starts, offset + HEADER.size)
            if following == len(starts):
                return
            offset = starts[following]
            file.seek(offset)
            continue
        if offset + whole > size:
            yield Framed(offset, 0, b"", f"it is {whole} bytes long, and the file ends within it")
            return
        data = file.read(length)
        (checksum,) = FOOTER.unpack(file.read(FOOTER.size))
        problem = "" if checksum == masked_crc(data) else "the checksum of its data does not hold"
        yield Framed(offset, whole, data, problem)
        offset += whole


@dataclass(frozen=True)
class Expected:
    """What the records of a dataset are to hold: see `Manifest`."""

    latents: int
    raw: bool
    weighted: bool
    decode: bool


@dataclass(frozen=True)
class Examined:
    """A record, and what is in it.

    Attributes:
        framed: the record.
        facts: by the names of the index's columns; empty where the record cannot be read, without
            what is known from the pixels where these are not decoded.
        problem: what is wrong with it, empty if nothing is.

    """

    framed: Framed
    facts: dict[str, Any]
    problem: str


def examine(framed: Framed, expected: Expected) -> Examined:
    """Parse a record and decode its image."""
    if framed.problem:
        return Examined(framed, {}, framed.problem)
    fields, problem = _parse(framed.data, expected)
    if problem:
        return Examined(framed, {}, problem)
    image = fields[record_schema.IMAGE]
    facts: dict[str, Any] = {
        "key": fields[record_schema.KEY],
        "label": fields[record_schema.LABEL],
        "latents": fields[record_schema.LATENTS],
        "length": framed.length,
        "stored_bytes": len(image),
        "stored_sha256": hashlib.sha256(image).digest(),
    }
    if expected.weighted:
        facts["weight"] = fields[record_schema.WEIGHT]
    shape = fields.get(record_schema.SHAPE)
    if shape is not None:
        facts |= dict(zip(("height", "width", "channels"), shape, strict=True))
        if min(shape) < 1 or shape[2] not in (1, 3) or np.prod(shape, dtype=object) != len(image):
            return Examined(framed, facts, f"its shape {shape} does not fit its {len(image)} bytes")
    if not expected.decode:
        return Examined(framed, facts, "")
    try:
        checked = check(image if shape is None else _pixels(image, shape), _RULES)
    except RejectedError as error:
        return Examined(framed, facts, f"its image does not decode: {error}")
    if checked.repair:
        return Examined(framed, facts, f"its image is not in the form to store: {checked.repair}")
    sums, squares = pixel_sums(checked.pixels[None])
    facts |= {
        **dict(zip(("height", "width", "channels"), checked.pixels.shape, strict=True)),
        "pixel_digest": pixel_digest(checked.pixels),
        "sums": sums[0].tolist(),
        "squares": squares[0].tolist(),
    }
    return Examined(framed, facts, "")


def _pixels(image: bytes, shape: Sequence[int]) -> np.ndarray:
    return np.frombuffer(image, np.uint8).reshape(shape)


def _parse(data: bytes, expected: Expected) -> tuple[dict[str, Any], str]:
    """The record's fields, and what is wrong with them."""
    try:
        features = Example.FromString(data).features.feature
    except DecodeError as error:
        return {}, f"it is no tf.train.Example: {error}"
    kinds = {
        record_schema.IMAGE: ("bytes_list", 1),
        record_schema.LABEL: ("int64_list", 1),
        record_schema.KEY: ("bytes_list", 1),
        record_schema.LATENTS: ("float_list", expected.latents),
    }
    if expected.raw:
        kinds[record_schema.SHAPE] = ("int64_list", 3)
    if expected.weighted:
        kinds[record_schema.WEIGHT] = ("float_list", 1)
    if set(features) != set(kinds):
        return {}, f"expected the fields {', '.join(kinds)}, found {', '.join(sorted(features))}"
    fields: dict[str, Any] = {}
    for name, (kind, count) in kinds.items():
        values = list(getattr(features[name], kind).value)
        if len(values) != count:
            return {}, f"expected {count} values of {name} ({kind}), found {len(values)}"
        fields[name] = values if name in (record_schema.LATENTS, record_schema.SHAPE) else values[0]
    try:
        fields[record_schema.KEY] = fields[record_schema.KEY].decode()
    except UnicodeDecodeError as error:
        return {}, f"its key is no UTF-8: {error}"
    return fields, ""
