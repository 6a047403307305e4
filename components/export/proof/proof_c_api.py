"""TensorFlow's C API as a proof: a SavedModel answers without TensorFlow's Python.

A script on its own: ``proof_isolated.py ... proof_c_api.py FOLDER`` reads ``requests.json`` and
``requests.npz`` in the folder, which ``proof.proof`` describes, and leaves
``c_api.json``. It calls what a server in C++ calls: TF_LoadSessionFromSavedModel, TF_SessionRun.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# TF_DataType and TF_Code of TensorFlow's c_api.h.
_STRING = 7
_TYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 9: np.int64}
_NUMBERS = {np.dtype(kind): number for number, kind in _TYPES.items()}
_INVALID_ARGUMENT = 3
# sizeof(TF_TString) of ctstring_internal.h, where pointers have 64 bits.
_STRING_BYTES = 24

_POINTER, _INT, _SIZE = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_NewStatus": (_POINTER, []),
    "TF_GetCode": (_INT, [_POINTER]),
    "TF_Message": (ctypes.c_char_p, [_POINTER]),
    "TF_NewGraph": (_POINTER, []),
    "TF_NewSessionOptions": (_POINTER, []),
    "TF_GraphOperationByName": (_POINTER, [_POINTER, ctypes.c_char_p]),
    "TF_AllocateTensor": (_POINTER, [_INT, ctypes.POINTER(ctypes.c_int64), _INT, _SIZE]),
    "TF_DeleteTensor": (None, [_POINTER]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_TensorType": (_INT, [_POINTER]),
    "TF_NumDims": (_INT, [_POINTER]),
    "TF_Dim": (ctypes.c_int64, [_POINTER, _INT]),
    "TF_StringInit": (None, [_POINTER]),
    "TF_StringCopy": (None, [_POINTER, ctypes.c_char_p, _SIZE]),
    "TF_StringGetDataPointer": (_POINTER, [_POINTER]),
    "TF_StringGetSize": (_SIZE, [_POINTER]),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        [_POINTER, _POINTER, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), _INT]
        + [_POINTER] * 3,
    ),
    "TF_SessionRun": (
        None,
        [_POINTER, _POINTER, _POINTER, _POINTER, _INT, _POINTER, _POINTER, _INT, _POINTER, _INT]
        + [_POINTER] * 2,
    ),
}


class TensorFlowError(RuntimeError):
    """What a call of the C API answered instead of TF_OK; ``code`` is its TF_Code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Output(ctypes.Structure):
    """TF_Output: an operation and which of its outputs."""

    _fields_ = (("operation", _POINTER), ("index", _INT))


class Model:
    """A SavedModel in a session of the C API.

    Args:
        library: path of libtensorflow_cc.
        directory: the version directory.
        signatures: for each name, ``inputs`` and ``outputs``: tensor names by key.

    Raises:
        TensorFlowError: if it does not load.

    """

    def __init__(self, library: str, directory: str, signatures: Mapping[str, Any]) -> None:
        self._api = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._api, name)
            function.restype, function.argtypes = result, arguments
        self._signatures = signatures
        self._status = self._api.TF_NewStatus()
        self._graph = self._api.TF_NewGraph()
        options = self._api.TF_NewSessionOptions()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = self._api.TF_LoadSessionFromSavedModel(
            options, None, directory.encode(), tags, 1, self._graph, None, self._status
        )
        self._check()

    def ask(self, signature: str, output: str, **inputs: Any) -> NDArray[Any]:
        """Runs one output of a signature.

        Args:
            signature: its name.
            output: the key of what to fetch.
            **inputs: an array for each key; strings are object arrays of bytes.

        Returns:
            The output; strings as an object array of bytes.

        Raises:
            TensorFlowError: with what the session answered.

        """
        names = self._signatures[signature]
        feeds = (_Output * len(inputs))(*(self._output(names["inputs"][key]) for key in inputs))
        fetch = self._output(names["outputs"][output])
        tensors = [self._tensor(np.asarray(value)) for value in inputs.values()]
        values = (_POINTER * len(inputs))(*tensors)
        result = (_POINTER * 1)()
        self._api.TF_SessionRun(
            self._session, None, feeds, values, len(inputs), ctypes.byref(fetch), result, 1, None,
            0, None, self._status,
        )  # fmt: skip
        try:
            self._check()
            return self._array(result[0] or 0)
        finally:
            for tensor in [*tensors, *(one for one in result if one)]:
                self._api.TF_DeleteTensor(tensor)

    def _check(self) -> None:
        code = self._api.TF_GetCode(self._status)
        if code:
            raise TensorFlowError(code, self._api.TF_Message(self._status).decode())

    def _output(self, tensor_name: str) -> _Output:
        operation, _, index = tensor_name.partition(":")
        found = self._api.TF_GraphOperationByName(self._graph, operation.encode())
        if not found:
            raise TensorFlowError(5, f"the graph has no operation {operation}")
        return _Output(found, int(index))

    def _tensor(self, value: NDArray[Any]) -> int:
        shape = (ctypes.c_int64 * value.ndim)(*value.shape)
        if value.dtype != object:
            value = np.ascontiguousarray(value)
            number = _NUMBERS[value.dtype]
            tensor: int = self._api.TF_AllocateTensor(number, shape, value.ndim, value.nbytes)
            ctypes.memmove(self._api.TF_TensorData(tensor), value.ctypes.data, value.nbytes)
            return tensor
        size = value.size * _STRING_BYTES
        tensor = self._api.TF_AllocateTensor(_STRING, shape, value.ndim, size)
        start = self._api.TF_TensorData(tensor)
        for index, text in enumerate(value.ravel()):
            address = start + index * _STRING_BYTES
            self._api.TF_StringInit(address)
            self._api.TF_StringCopy(address, text, len(text))
        return tensor

    def _array(self, tensor: int) -> NDArray[Any]:
        kind = self._api.TF_TensorType(tensor)
        shape = [self._api.TF_Dim(tensor, axis) for axis in range(self._api.TF_NumDims(tensor))]
        start = self._api.TF_TensorData(tensor)
        count = int(np.prod(shape))
        if kind == _STRING:
            texts = np.empty(count, object)
            for index in range(count):
                address = start + index * _STRING_BYTES
                texts[index] = ctypes.string_at(
                    self._api.TF_StringGetDataPointer(address), self._api.TF_StringGetSize(address)
                )
            return texts.reshape(shape)
        dtype = np.dtype(_TYPES[kind])
        content = ctypes.string_at(start, count * dtype.itemsize)
        return np.frombuffer(content, dtype).reshape(shape)


def _difference(answer: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference as a share of the largest value; infinite for other shapes."""
    if answer.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(answer - expected).max()) / scale


def _strings(values: Sequence[bytes]) -> NDArray[Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _refuses(model: Model, signature: str, **inputs: Any) -> str | None:
    """Says what is wrong if a signature does not refuse inputs of a wrong rank."""
    try:
        model.ask(signature, "embedding", **inputs)
    except TensorFlowError as error:
        if error.code == _INVALID_ARGUMENT:
            return None
        return f"answers a wrong rank with code {error.code}, expected INVALID_ARGUMENT: {error}"
    return "answers a wrong rank, expected INVALID_ARGUMENT"


def main(folder: Path) -> None:
    """Asks the requests in a folder, and leaves the answers there."""
    requests = json.loads((folder / "requests.json").read_text(encoding="utf-8"))
    with np.load(folder / "requests.npz", allow_pickle=False) as arrays:
        stops = np.cumsum(arrays["lengths"])
        files = [bytes(part) for part in np.split(arrays["buffer"], stops[:-1])]
        images, embeddings = arrays["images"], arrays["embeddings"]
    model = Model(requests["library"], requests["version"], requests["signatures"])
    few = requests["few"]
    differences = {
        "embed": _difference(model.ask("embed", "embedding", images=images), embeddings),
        "embed_bytes": _difference(
            model.ask("embed_bytes", "embedding", image_bytes=_strings(files[:few])),
            embeddings[:few],
        ),
    }
    wrong = {
        "embed": _refuses(model, "embed", images=images[0]),
        "embed_bytes": _refuses(model, "embed_bytes", image_bytes=np.array(files[0], object)),
    }
    if requests["class_names"]:
        names = model.ask("classify", "class_names", image_bytes=_strings(files[:2]))
        if [name.decode() for name in names[-1]] != requests["class_names"]:
            wrong["classify"] = f"gives the class names {names[-1].tolist()}"
    answers = {
        "differences": differences,
        "failures": {name: reason for name, reason in wrong.items() if reason is not None},
    }
    (folder / "c_api.json").write_text(json.dumps(answers), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
