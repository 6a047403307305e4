"""Warm-up requests, which a server asks a model before anyone, in TensorFlow Serving's file.

``assets.extra/tf_serving_warmup_requests`` is a TFRecord file of ``tensorflow.serving``'s
``PredictionLog``, each with the request of a ``PredictLog``. TensorFlow Serving runs each once
after loading a version and before the version takes over; a request that fails, or more than 1,000
of them, fail the version.

The package with these messages needs not be installed: the few fields that are written are declared
here. A tensor is declared as bytes, which on the wire is what an embedded message is.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2

from twofold.components import files
from twofold.components.errors import ExportedModelError, ExportError
from twofold.components.export.saved_model.signature_contract import Contract
from twofold.components.export.saved_model.version_directory import EXTRA

WARMUP_FILE = "tf_serving_warmup_requests"
MOST_REQUESTS = 1000
MODEL_NAME = "encoder"

_PACKAGE = "tensorflow.serving"
_Field = descriptor_pb2.FieldDescriptorProto


@dataclasses.dataclass(frozen=True, eq=False)
class WarmupRequest:
    """A request of Predict.

    Attributes:
        signature: its name.
        inputs: an array for each of its inputs; strings are object arrays of bytes.

    """

    signature: str
    inputs: Mapping[str, np.ndarray]


def example_inputs(
    image_bytes: Sequence[bytes], images: np.ndarray, example_feature: str = "image"
) -> dict[str, np.ndarray]:
    """What can be sent for each input that exported encoders have, by the input's name.

    Args:
        image_bytes: N image files.
        images: uint8 [N, H, W, C], the same images as the encoder takes them.
        example_feature: the feature of a ``tf.train.Example`` that holds the file.

    Returns:
        Arrays of length N: ``image_bytes``, ``images``, ``inputs`` (serialised examples), ``seed``
        (0) and ``views`` (2).

    Raises:
        ValueError: if there is no image, or their numbers differ.

    """
    count = len(image_bytes)
    if count == 0 or len(images) != count:
        raise ValueError(
            f"expected as many files as images and at least one, received {count} and {len(images)}"
        )
    examples = []
    for contents in image_bytes:
        example = tf.train.Example()
        example.features.feature[example_feature].bytes_list.value.append(contents)
        examples.append(example.SerializeToString(deterministic=True))
    return {
        "image_bytes": np.array(image_bytes, object),
        "images": np.asarray(images),
        "inputs": np.array(examples, object),
        "seed": np.zeros(count, np.int64),
        "views": np.full(count, 2, np.int64),
    }


def warmup_requests(
    contract: Contract, inputs: Mapping[str, np.ndarray], batch_sizes: Iterable[int] = (1, 8)
) -> list[WarmupRequest]:
    """Requests for every signature all of whose inputs are given.

    Args:
        contract: of the model.
        inputs: arrays of the same length by the input's name, such as ``example_inputs`` gives.
        batch_sizes: of the requests to each signature, from the smallest; one beyond the arrays'
            length takes all there is.

    Raises:
        ExportError: if that is none.

    """
    lengths = {len(array) for array in inputs.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"expected arrays of one length, at least 1, received {sorted(lengths)}")
    sizes = sorted({min(size, *lengths) for size in batch_sizes})
    requests = [
        WarmupRequest(name, {key: inputs[key][:size] for key in signature.inputs})
        for name, signature in sorted(contract.items())
        if set(signature.inputs) <= set(inputs)
        for size in sizes
    ]
    if not requests:
        raise ExportError(
            f"no signature can be asked: their inputs are "
            f"{sorted({key for one in contract.values() for key in one.inputs})}, and there are "
            f"values for {sorted(inputs)}"
        )
    return requests


def write_warmup_requests(
    version: Path, requests: Sequence[WarmupRequest], model_name: str = MODEL_NAME
) -> Path:
    """Writes requests where TensorFlow Serving looks for them; the same ones to the same bytes.

    Args:
        version: holds the SavedModel.
        requests: 1 to 1,000.
        model_name: what the model is served as; a server that warms up does not look at it.

    Raises:
        ExportError: if there are none, or more than TensorFlow Serving takes.

    """
    if not 1 <= len(requests) <= MOST_REQUESTS:
        raise ExportError(
            f"TensorFlow Serving takes 1 to {MOST_REQUESTS} warmup requests, received "
            f"{len(requests)}"
        )
    path = version / EXTRA / WARMUP_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.new_file_path(path) as written,
        tf.io.TFRecordWriter(str(written)) as writer,
    ):
        for request in requests:
            writer.write(_encode(request, model_name))
    return path


def read_warmup_requests(version: Path) -> list[WarmupRequest]:
    """The requests of Predict in a version's file, whoever wrote it; empty where there is none.

    Raises:
        ExportedModelError: if the file is damaged.

    """
    path = version / EXTRA / WARMUP_FILE
    if not path.exists():
        return []
    requests = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            log = _messages()["PredictionLog"].FromString(record)
            if log.HasField("predict_log"):
                requests.append(_decode(log.predict_log.request))
    except (tf.errors.OpError, DecodeError, TypeError, ValueError) as error:
        cause = str(error).splitlines()[0]
        raise ExportedModelError(f"{path} is damaged: {cause}") from error
    return requests


def _encode(request: WarmupRequest, model_name: str) -> bytes:
    log = _messages()["PredictionLog"]()
    asked = log.predict_log.request
    asked.model_spec.name = model_name
    asked.model_spec.signature_name = request.signature
    for name, array in request.inputs.items():
        tensor = tf.make_tensor_proto(array)
        asked.inputs[name] = tensor.SerializeToString(deterministic=True)
    encoded: bytes = log.SerializeToString(deterministic=True)
    return encoded


def _decode(request: Any) -> WarmupRequest:
    return WarmupRequest(
        # TensorFlow Serving's own default.
        request.model_spec.signature_name or "serving_default",
        {
            name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(request.inputs[name]))
            for name in sorted(request.inputs)
        },
    )


@functools.cache
def _messages() -> dict[str, Any]:
    """Classes of the messages by name.

    They live in a pool of their own: with the package of TensorFlow Serving's messages in the same
    process, the default one would have each name twice.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="twofold/warmup.proto", package=_PACKAGE, syntax="proto3"
    )
    spec = file.message_type.add(name="ModelSpec")
    _add(spec, "name", 1, _Field.TYPE_STRING)
    _add(spec, "signature_name", 3, _Field.TYPE_STRING)
    request = file.message_type.add(name="PredictRequest")
    _add(request, "model_spec", 1, _Field.TYPE_MESSAGE, "ModelSpec")
    entry = request.nested_type.add(name="InputsEntry")
    entry.options.map_entry = True
    _add(entry, "key", 1, _Field.TYPE_STRING)
    _add(entry, "value", 2, _Field.TYPE_BYTES)
    inputs = _add(request, "inputs", 2, _Field.TYPE_MESSAGE, "PredictRequest.InputsEntry")
    inputs.label = _Field.LABEL_REPEATED
    predict = file.message_type.add(name="PredictLog")
    _add(predict, "request", 1, _Field.TYPE_MESSAGE, "PredictRequest")
    log = file.message_type.add(name="PredictionLog")
    _add(log, "predict_log", 6, _Field.TYPE_MESSAGE, "PredictLog")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{message.name}")
        )
        for message in file.message_type
    }


def _add(message: Any, name: str, number: int, kind: int, of: str = "") -> Any:
    return message.field.add(
        name=name,
        number=number,
        type=kind,
        label=_Field.LABEL_OPTIONAL,
        type_name=f".{_PACKAGE}.{of}" if of else None,
    )
