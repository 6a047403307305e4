"""PyTorch files, built here by hand: what is read of them, and what is refused unrun."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twofold.components.encoders.published import torch_file
from twofold.components.encoders.published.torch_file import read_state_dict
from twofold.components.errors import CheckpointError

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "i8": "LongStorage", "f2": "HalfStorage"}


class Global:
    """What a pickle names as ``module.name``, written without such a module being there."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class Storage:
    """What a pickle refers to by a persistent id."""

    def __init__(self, kind: str, key: str, numel: int) -> None:
        self.id = ("storage", Global("torch", kind), key, "cpu", numel)


class Call:
    """A call that a pickle makes."""

    def __init__(self, function: Global, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments


# Its methods in Python, which are no public part of it.
_PICKLER: Any = pickle._Pickler


class Pickler(_PICKLER):
    """Pickles as PyTorch does: protocol 2, storages by their ids."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)

    def persistent_id(self, obj: Any) -> Any:
        return obj.id if isinstance(obj, Storage) else None

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save(obj.function)
            self.save(obj.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)


def tensor(key: str, array: np.ndarray, kind: str | None = None, **changes: Any) -> Call:
    """Describes a tensor, C-contiguous in a storage of its own."""
    strides = [by // array.itemsize for by in array.strides]
    described = {"offset": 0, "shape": array.shape, "strides": tuple(strides)} | changes
    storage = Storage(kind or STORAGES[array.dtype.str[1:]], key, array.size)
    arguments = (storage, *described.values(), False, OrderedDict())
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), *arguments)


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file).dump(value)
    return file.getvalue()


def write_archive(path: Path, content: bytes, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
        archive.writestr("archive/version", b"3\n")
    return path


def write_state_dict(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Writes a file as ``torch.save(model.state_dict(), path)`` does."""
    state = OrderedDict((name, tensor(str(i), a)) for i, (name, a) in enumerate(arrays.items()))
    members = {f"data/{i}": array.tobytes() for i, array in enumerate(arrays.values())}
    return write_archive(path, pickled(state), members)


ARRAYS = {
    "weight": np.arange(12, dtype="f4").reshape(3, 4) / 7,
    "bias": np.array([1.5, -2.0, 0.25], "f8"),
    "num_batches_tracked": np.array(160, "i8"),
    "half": np.array([0.5, 3.0], "f2"),
}


def test_a_state_dict_comes_back_by_its_names(tmp_path: Path) -> None:
    read = read_state_dict(write_state_dict(tmp_path / "net.pth", ARRAYS))

    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_a_part_of_a_storage_is_read_by_its_offset_and_strides(tmp_path: Path) -> None:
    whole = np.arange(12, dtype="f4")
    # Columns 1 and 2 of a matrix [3, 4], transposed.
    part = tensor("0", whole, offset=1, shape=(2, 3), strides=(1, 4))
    path = write_archive(tmp_path / "net.pth", pickled({"part": part}), {"data/0": whole.tobytes()})

    expected = whole.reshape(3, 4)[:, 1:3].T
    np.testing.assert_array_equal(read_state_dict(path)["part"], expected)


def test_bfloat16_is_widened_and_other_byte_orders_are_turned(tmp_path: Path) -> None:
    halves = np.array([0x3FC0, 0xC000], "u2")
    content = pickled({"b": tensor("0", halves, "BFloat16Storage")})
    path = write_archive(tmp_path / "b.pth", content, {"data/0": halves.tobytes()})
    np.testing.assert_array_equal(read_state_dict(path)["b"], np.array([1.5, -2.0], "f4"))

    values = np.array([1.0, 2.0], "f4")
    members = {"data/0": values.astype(">f4").tobytes(), "byteorder": b"big"}
    path = write_archive(tmp_path / "o.pth", pickled({"o": tensor("0", values)}), members)
    np.testing.assert_array_equal(read_state_dict(path)["o"], values)


def test_a_state_dict_within_a_checkpoint_is_found(tmp_path: Path) -> None:
    values = np.array([1.0, 2.0], "f4")
    content = pickled({"epoch": 60, "state_dict": {"a": tensor("0", values)}})
    path = write_archive(tmp_path / "net.pth", content, {"data/0": values.tobytes()})
    assert list(read_state_dict(path)) == ["a"]


@pytest.mark.parametrize(
    "call",
    [
        Call(Global("os", "system"), "touch ran"),
        Call(Global("builtins", "eval"), "open('ran', 'w')"),
        Call(Global("builtins", "getattr"), Global("os", "path"), "join"),
        Call(Global("torch", "load"), "other.pth"),
        Call(Global("torch._utils", "_rebuild_parameter"), 1),
        Call(Global("numpy.core.multiarray", "_reconstruct"), 1),
        Global("posix", "system"),
    ],
)
def test_whatever_else_a_pickle_names_is_refused_before_it_is_run(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_archive(tmp_path / "bad.pth", pickled({"a": call}), {})
    with pytest.raises(CheckpointError, match=r"would run \S+, which no state dict needs: ref"):
        read_state_dict(path)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_that_leaves_its_list_by_protocol_4_is_refused_likewise(tmp_path: Path) -> None:
    # STACK_GLOBAL takes module and name from the stack.
    content = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."
    with pytest.raises(CheckpointError, match=r"would run os\.system"):
        read_state_dict(write_archive(tmp_path / "bad.pth", content, {}))


VALUES = np.arange(6, dtype="f4")


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": (7,), "strides": (1,)},
        {"offset": 1},
        {"offset": -1},
        {"strides": (-1,)},
        {"strides": (2,)},
        {"shape": (1 << 40,), "strides": (0,)},
        {"shape": (2, 3), "strides": (1,)},
        {"shape": ("a",), "strides": (1,)},
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(changes: dict[str, Any], tmp_path: Path) -> None:
    content = pickled({"a": tensor("0", VALUES, **changes)})
    path = write_archive(tmp_path / "bad.pth", content, {"data/0": VALUES.tobytes()})
    with pytest.raises(CheckpointError, match=r"bad\.pth is damaged \(.*\); expected a state dict"):
        read_state_dict(path)


def test_a_storage_of_another_length_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    content = pickled({"a": tensor("0", VALUES)})
    for members in ({}, {"data/0": VALUES.tobytes()[:-4]}, {"data/0": VALUES.tobytes() * 2}):
        with pytest.raises(CheckpointError, match="is damaged"):
            read_state_dict(write_archive(tmp_path / "bad.pth", content, members))


def test_files_of_other_kinds_are_refused_by_what_they_are(tmp_path: Path) -> None:
    old = tmp_path / "old.pth"
    # The magic number that PyTorch before 1.6 begins with.
    old.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2))
    with pytest.raises(CheckpointError, match=r"before PyTorch 1\.6, a bare pickle: load it there"):
        read_state_dict(old)

    text = tmp_path / "text.pth"
    text.write_bytes(b"weights\n")
    with pytest.raises(CheckpointError, match="is no PyTorch file, which begins with PK"):
        read_state_dict(text)

    with zipfile.ZipFile(tmp_path / "npz.pth", "w") as archive:
        archive.writestr("imgs.npy", b"")
    with pytest.raises(CheckpointError, match=r"zip file without a PyTorch pickle"):
        read_state_dict(tmp_path / "npz.pth")

    script = write_archive(tmp_path / "script.pth", pickled({}), {"constants.pkl": b""})
    with pytest.raises(CheckpointError, match="is a TorchScript program"):
        read_state_dict(script)

    with pytest.raises(CheckpointError, match="expected a PyTorch file, received: No such file"):
        read_state_dict(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="expected a PyTorch file, received: Is a directory"):
        read_state_dict(tmp_path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "an empty mapping"),
        ([1], "holds list"),
        ({"a": tensor("0", VALUES), "b": 3}, "holds int beside its tensors, under 'b'"),
        ({1: tensor("0", VALUES)}, "under 1"),
        (tensor("0", VALUES), "a single tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(value: Any, words: str, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "odd.pth", pickled(value), {"data/0": VALUES.tobytes()})
    with pytest.raises(CheckpointError, match=words):
        read_state_dict(path)


def test_a_damaged_file_is_refused_wherever_it_was_cut_or_changed(tmp_path: Path) -> None:
    whole = write_state_dict(tmp_path / "net.pth", ARRAYS).read_bytes()
    damaged = tmp_path / "damaged.pth"
    random = np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            content[place] ^= int(random.integers(1, 256))
        damaged.write_bytes(bytes(content[: random.integers(len(whole) // 2, len(whole) + 1)]))
        with pytest.raises(CheckpointError) as refused:
            read_state_dict(damaged)
        assert "\n" not in str(refused.value)


def test_a_pickle_that_ends_within_a_number_is_damaged(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "short.pth", b"\x80\x02J\x01", {})
    with pytest.raises(CheckpointError, match="is damaged"):
        read_state_dict(path)


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    path = write_state_dict(tmp_path / "net.pth", ARRAYS)
    content = bytearray(path.read_bytes())
    # Bit 0 of the flags in each local header (offset 6) and each entry of the directory (offset 8).
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(magic)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(magic, at + 4)
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match=r"is damaged \(.*encrypted"):
        read_state_dict(path)


def test_a_pickle_alone_cannot_take_more_memory_than_it_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # LONG_BINPUT with a number for which the unpickler in C would make room.
    content = b"\x80\x02}r" + struct.pack("<I", 0xFFFFFFF0) + b"."
    with pytest.raises(CheckpointError, match="an empty mapping"):
        read_state_dict(write_archive(tmp_path / "large.pth", content, {}))

    monkeypatch.setattr(torch_file, "MOST_PICKLE_BYTES", 10)
    with pytest.raises(CheckpointError, match=r"its pickle has \d+ bytes: expected at most 10"):
        read_state_dict(write_state_dict(tmp_path / "net.pth", ARRAYS))
