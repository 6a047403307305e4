"""PyTorch file reader: the named arrays of a state dict (.pth, .pt), without PyTorch.

Such a file is a zip archive of a pickle, which describes tensors, and of their bytes. A pickle is a
program, so this one may only make tensors and dictionaries of them; whatever else it names is
refused before it is run. Pickles of Python's own unpickler are limited in size as well.
"""

from __future__ import annotations

import lzma
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from twofold.components.errors import CheckpointError

# The pickle of a network of a thousand layers has some hundred kilobytes.
MOST_PICKLE_BYTES = 16 << 20
MOST_TENSOR_BYTES = 8 << 30
_ZIP = b"PK\x03\x04"
_EXPECTED = "expected a state dict as torch.save(model.state_dict(), FILE) writes it"
# Types of the storages, and as what NumPy takes their bytes.
_STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    # The upper half of a float32.
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, OSError, EOFError, MemoryError),
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, ImportError, RecursionError),
    *(NotImplementedError, OverflowError, struct.error, lzma.LZMAError),
    # Of an archive that is encrypted.
    RuntimeError,
)


def read_state_dict(path: Path | str) -> dict[str, np.ndarray]:
    """Reads the arrays of a PyTorch file by their names.

    What is taken: a mapping of names to tensors, or a mapping in which ``state_dict`` is one, as
    ``torch.save`` of PyTorch 1.6 and later writes it.

    Args:
        path: of the file, on a local disk.

    Returns:
        Arrays of the tensors' shapes and types; bfloat16 comes as float32.

    Raises:
        CheckpointError: if there is no such file, it is of another format, is damaged, or names
            anything but tensors.

    """
    path = Path(path).expanduser()
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise CheckpointError(
            f"{path}: expected a PyTorch file, received: {error.strerror}"
        ) from None
    if start != _ZIP:
        raise CheckpointError(f"{path}: {_describe(start)}; {_EXPECTED}")
    try:
        with zipfile.ZipFile(path) as archive:
            loaded = _Archive(path, archive).load()
    except CheckpointError:
        raise
    except _DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} is damaged ({reason}); {_EXPECTED}") from None
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not loaded:
        raise CheckpointError(f"{path} holds {_kind(loaded)}; {_EXPECTED}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise CheckpointError(
                f"{path} holds {_kind(value)} beside its tensors, under {name!r:.60}; {_EXPECTED}"
            )
    return dict(loaded)


def _describe(start: bytes) -> str:
    if start[:1] == b"\x80":
        return (
            "is of the format before PyTorch 1.6, a bare pickle: load it there and save it again "
            "with torch.save"
        )
    return "is no PyTorch file, which begins with PK"


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "a single tensor"
    if isinstance(value, Mapping):
        return "an empty mapping" if not value else "a mapping"
    return type(value).__name__


class _Archive:
    """The members of a file that is open."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._members = {member.filename: member for member in archive.infolist()}
        pickles = [name for name in self._members if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(
                f"{path} is a zip file without a PyTorch pickle (no member data.pkl); {_EXPECTED}"
            )
        self._root = pickles[0].removesuffix("data.pkl")
        if f"{self._root}constants.pkl" in self._members:
            raise CheckpointError(f"{path} is a TorchScript program; {_EXPECTED}")
        order = self._members.get(f"{self._root}byteorder")
        big = order is not None and archive.read(order) == b"big"
        self._order: Literal["<", ">"] = ">" if big else "<"

    def load(self) -> Any:
        """Unpickles what the file holds."""
        member = self._members[f"{self._root}data.pkl"]
        if member.file_size > MOST_PICKLE_BYTES:
            raise CheckpointError(
                f"{self._path}: its pickle has {member.file_size} bytes: expected at most "
                f"{MOST_PICKLE_BYTES}"
            )
        return _Unpickler(self._path, self._archive.read(member), self.storage).load()

    def storage(self, kind: str, key: str, numel: int) -> np.ndarray:
        """Reads a storage, an array [numel] that cannot be written to."""
        member = self._members[f"{self._root}data/{key}"]
        dtype = np.dtype(_STORAGES[kind]).newbyteorder(self._order)
        if member.file_size != numel * dtype.itemsize or member.file_size > MOST_TENSOR_BYTES:
            raise ValueError(f"storage {key} has {member.file_size} bytes, not {numel} {kind}")
        values = np.frombuffer(self._archive.read(member), dtype)
        if kind == "BFloat16Storage":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values


class _StorageType(str):
    """The name of a type of storage."""

    __slots__ = ()


# That of Python keeps what it has read in a dictionary; that of C in an array as long as the
# largest number in the file, which a damaged one can make larger than the memory.
class _Unpickler(pickle._Unpickler):
    """Unpickles tensors, and mappings of them, from what is otherwise a program."""

    def __init__(
        self, path: Path, content: bytes, storage: Callable[[str, str, int], np.ndarray]
    ) -> None:
        super().__init__(BytesIO(content))
        self._path, self._storage = path, storage

    def find_class(self, module: str, name: str) -> Any:
        """Gives what a pickle may name.

        Raises:
            CheckpointError: for anything else.

        """
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return _StorageType(name)
        raise CheckpointError(
            f"{self._path} would run {module}.{name}, which no state dict needs: refused; "
            f"{_EXPECTED}"
        )

    def persistent_load(self, pid: Any) -> np.ndarray:
        """Gives the storage that a pickle refers to."""
        word, kind, key, _, numel = pid
        if word != "storage" or not isinstance(kind, _StorageType) or not isinstance(key, str):
            raise ValueError(f"no storage: {pid!r:.60}")
        return self._storage(str(kind), key, int(numel))


def _rebuild_tensor(
    storage: np.ndarray, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any
) -> np.ndarray:
    """Gives a tensor out of its storage: a copy of its own."""
    inside = len(shape) == len(strides) and min((offset, *shape, *strides), default=0) >= 0
    if inside and 0 not in shape:
        last = offset + sum((n - 1) * by for n, by in zip(shape, strides, strict=True))
        # A stride of 0 would make much out of little.
        inside = last < len(storage) and math.prod(shape) <= len(storage)
    if not inside:
        raise ValueError(
            f"a tensor of shape {tuple(shape)} is not within its {len(storage)} numbers"
        )
    view = np.lib.stride_tricks.as_strided(
        storage[offset:], tuple(shape), [by * storage.itemsize for by in strides]
    )
    return np.array(view, view.dtype.newbyteorder("="))
