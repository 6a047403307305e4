"""tf.train.Example and the framing of TFRecord without TensorFlow.

Workers write and read records by the thousand and would otherwise each import TensorFlow for it,
which takes seconds and half a gigabyte. The message is declared here, field by field as
TensorFlow's example.proto and feature.proto declare it, and serialised by the protobuf library; the
tests hold the bytes to TensorFlow's own.
"""

from __future__ import annotations

import struct
from typing import Any

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# A record is: uint64 length, masked CRC-32C of the length, the data, masked CRC-32C of the data.
HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "twofold"


def _declare() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="twofold/example.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, kind in (
        ("BytesList", _FIELD.TYPE_BYTES),
        ("FloatList", _FIELD.TYPE_FLOAT),
        ("Int64List", _FIELD.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, label=_FIELD.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        kind_name = "".join(part.capitalize() for part in name.split("_"))
        feature.field.add(
            name=name,
            number=number,
            label=_FIELD.LABEL_OPTIONAL,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f".{_PACKAGE}.{kind_name}",
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
    entry.field.add(
        name="value",
        number=2,
        label=_FIELD.LABEL_OPTIONAL,
        type=_FIELD.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Feature",
    )
    features.field.add(
        name="feature",
        number=1,
        label=_FIELD.LABEL_REPEATED,
        type=_FIELD.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features",
        number=1,
        label=_FIELD.LABEL_OPTIONAL,
        type=_FIELD.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.Features",
    )
    # A pool of its own: TensorFlow fills the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Example"))


Example: Any = _declare()


def masked_crc(data: bytes) -> int:
    """The checksum that TFRecord keeps of data: CRC-32C, rotated and shifted."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """A serialised example as one record of a TFRecord file."""
    length = _LENGTH.pack(len(data))
    head = HEADER.pack(len(data), masked_crc(length))
    return b"".join((head, data, FOOTER.pack(masked_crc(data))))
