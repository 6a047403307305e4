"""Model repository: the newest version on disk, found, loaded and run by its signatures.

A SavedModel is a program, not data: loading one and running it can read and write files and do
whatever TensorFlow's ops can do. Serve only directories whose contents you trust.
"""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from twofold.components.errors import ModelDirectoryError
from twofold.serving.signature import Signature, TensorInfo
from twofold.serving.status_codes import CODE_OF_NUMBER, Code, ServingError, invalid_argument

SAVED_MODEL_FILE = "saved_model.pb"
SERVING_TAG = "serve"


def find_versions(directory: Path) -> dict[int, Path]:
    """The versions in a model directory, by number.

    Args:
        directory: holds `<integer version>/saved_model.pb`, or is such a version itself.

    Returns:
        At least one version number with its directory.

    Raises:
        ModelDirectoryError: the directory holds no version.

    """
    expected = f"expected {directory}/<integer version>/{SAVED_MODEL_FILE}"
    if not directory.exists():
        raise ModelDirectoryError(f"No such model directory: {directory} ({expected})")
    if not directory.is_dir():
        raise ModelDirectoryError(f"{directory} is a file, not a model directory ({expected})")
    if (directory / SAVED_MODEL_FILE).is_file():
        name = directory.resolve().name
        if _is_version_number(name):
            return {int(name): directory}
        raise ModelDirectoryError(
            f"{directory} holds {SAVED_MODEL_FILE} but its name is no integer version "
            f"({expected}; move the model into {directory}/1)"
        )
    versions = {
        int(path.name): path
        for path in directory.iterdir()
        if _is_version_number(path.name) and (path / SAVED_MODEL_FILE).is_file()
    }
    if not versions:
        entries = sorted(path.name for path in directory.iterdir())
        found = ", ".join(entries[:8]) + (", ..." if len(entries) > 8 else "")
        raise ModelDirectoryError(
            f"{directory} is no model directory: {expected}, found {found or 'nothing'}"
        )
    return versions


def _is_version_number(name: str) -> bool:
    return name.isascii() and name.isdecimal()


@dataclass(frozen=True)
class Version:
    """One loaded version of a model.

    Attributes:
        number: its version.
        signatures: what can be run, by name.
        signature_def: the same as TensorFlow Serving's metadata shows it, ready for JSON.

    """

    number: int
    signatures: Mapping[str, Signature]
    signature_def: Mapping[str, Any]
    # The object must outlive its signatures: they hold its variables only weakly.
    _program: Any

    def signature(self, name: str) -> Signature:
        """The signature of that name.

        Raises:
            ServingError: INVALID_ARGUMENT, there is none.

        """
        if name not in self.signatures:
            raise invalid_argument(f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def predict(
        self, signature_name: str, inputs: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Run one signature.

        Args:
            signature_name: a key of `signatures`.
            inputs: an array for each of its inputs; strings are object arrays of bytes.

        Returns:
            An array for each output.

        Raises:
            ServingError: no such signature, arrays that do not fit it (found before the model
                runs), or the error that the model itself raised.

        """
        self.signature(signature_name).check(inputs)
        tensors = {name: _to_tensor(array) for name, array in inputs.items()}
        try:
            outputs = self._program.signatures[signature_name](**tensors)
        except tf.errors.OpError as error:
            code = CODE_OF_NUMBER.get(error.error_code, Code.UNKNOWN)
            raise ServingError(code, _reason(error.message)) from error
        return {name: _to_array(tensor) for name, tensor in outputs.items()}


def _to_tensor(array: np.ndarray) -> tf.Tensor:
    if array.dtype == np.object_:
        return tf.constant(array, dtype=tf.string, shape=array.shape)
    return tf.constant(array)


def _to_array(tensor: tf.Tensor) -> np.ndarray:
    value = tensor.numpy()
    if isinstance(value, np.ndarray):
        return value
    # TensorFlow gives a scalar as a NumPy scalar, or as bytes.
    return np.array(value, tensor.dtype.as_numpy_dtype)


def _reason(message: str) -> str:
    """What a failed op said, without the places in the graph that TensorFlow wraps around it."""
    return message.rpartition("<stack traces unavailable>\n")[2].partition("\n\t [[")[0]


def load_version(number: int, directory: Path) -> Version:
    """Load a SavedModel.

    Args:
        number: the version it is served as.
        directory: holds `saved_model.pb` and `variables/`.

    Raises:
        ModelDirectoryError: the files are damaged, incomplete, or have no signature to serve.

    """
    try:
        signature_defs = _read_signature_defs(directory)
        program = tf.saved_model.load(str(directory))
    except (OSError, ValueError, KeyError, DecodeError, tf.errors.OpError) as error:
        raise ModelDirectoryError(f"{directory} cannot be loaded: {error}") from error
    signatures = {
        name: _to_signature(name, signature_defs[name])
        for name in program.signatures
        if name in signature_defs
    }
    if not signatures:
        raise ModelDirectoryError(f"{directory} has no signature to serve")
    # What was loaded stays for good. Left where the collector looks, it is walked again by every
    # full collection that parsing a large request sets off, and those pauses are the tail latency.
    gc.collect()
    gc.freeze()
    return Version(
        number=number,
        signatures=signatures,
        signature_def={name: _to_json(message) for name, message in signature_defs.items()},
        _program=program,
    )


def _read_signature_defs(directory: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    saved_model = saved_model_pb2.SavedModel.FromString((directory / SAVED_MODEL_FILE).read_bytes())
    for meta_graph in saved_model.meta_graphs:
        if SERVING_TAG in meta_graph.meta_info_def.tags:
            return dict(meta_graph.signature_def)
    raise ValueError(f'no graph in {SAVED_MODEL_FILE} is tagged "{SERVING_TAG}"')


def _to_signature(name: str, message: meta_graph_pb2.SignatureDef) -> Signature:
    return Signature(
        name,
        inputs={key: _to_tensor_info(key, info) for key, info in message.inputs.items()},
        outputs={key: _to_tensor_info(key, info) for key, info in message.outputs.items()},
    )


def _to_tensor_info(name: str, message: meta_graph_pb2.TensorInfo) -> TensorInfo:
    shape = message.tensor_shape
    return TensorInfo(
        name,
        dtype=tf.as_dtype(message.dtype).name,
        shape=None
        if shape.unknown_rank
        else tuple(None if dim.size < 0 else dim.size for dim in shape.dim),
    )


def _to_json(message: meta_graph_pb2.SignatureDef) -> dict[str, Any]:
    values: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return values


class Repository:
    """The one model that is served, by name: its newest version, loaded when `load` is called.

    Finding and loading are apart so that a wrong directory is reported at once, and so that the
    server can say "not ready yet" while a large model loads.
    """

    def __init__(self, name: str, directory: Path) -> None:
        """Find the newest version.

        Raises:
            ModelDirectoryError: the directory holds no version.

        """
        versions = find_versions(directory)
        self.name = name
        self.number = max(versions)
        self._directory = versions[self.number]
        self._version: Version | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether requests can be answered."""
        return self._version is not None

    def load(self) -> None:
        """Load the newest version; a second call changes nothing.

        Raises:
            ModelDirectoryError: it cannot be loaded.

        """
        if self._version is None:
            self._version = load_version(self.number, self._directory)

    def has(self, name: str, number: int | None = None) -> bool:
        """Whether this is the model, and the version where one is named, loaded or not."""
        return name == self.name and number in (None, self.number)

    def version(self, name: str, number: int | None = None) -> Version:
        """The loaded version that a request names; None is the newest.

        Raises:
            ServingError: NOT_FOUND, as TensorFlow Serving words it, also while it still loads.

        """
        if self._version is None or not self.has(name, number):
            requested = f"Latest({name})" if number is None else f"Specific({name}, {number})"
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {requested}")
        return self._version
