"""Embedding store on disk: written once for an encoder, every row with its key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twofold.components import files
from twofold.components.errors import EvaluationError

INDEX = "index.json"


class EmbeddingStore:
    """A folder of embeddings of one encoder, read by memory map.

    ``NAME.npy`` holds float32 [N, D]. ``SPLIT_keys.npy``, text [N], and ``SPLIT_labels.npy``, int32
    [N] with -1 for none, say what row i of every array of a split is. ``index.json`` says what the
    embeddings come from and which are whole; an array counts once it is listed there, so that a
    kill at any moment leaves nothing that is taken for more than it is.

    Args:
        folder: created when missing; emptied where it holds embeddings of something else.
        fingerprint: of all that the embeddings come from.

    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self._fingerprint = fingerprint
        try:
            index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            whole = index["fingerprint"] == fingerprint and isinstance(index["arrays"], dict)
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        self._arrays: dict[str, list[int]] = dict(index["arrays"]) if whole else {}
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._write_index()

    def has(self, name: str) -> bool:
        """Tells whether an array is there as it was written."""
        return name in self._arrays and self._open(name) is not None

    def read(self, name: str) -> NDArray[np.float32]:
        """Open an array by memory map, read-only, float32 [N, D].

        Raises:
            EvaluationError: if it is not there as it was written.

        """
        opened = self._open(name) if name in self._arrays else None
        if opened is None:
            raise EvaluationError(
                f"{self.folder} holds no embeddings {name}: expected one of "
                f"{', '.join(sorted(self._arrays)) or 'none'}"
            )
        return opened

    def write(
        self, name: str, shape: tuple[int, int], fill: Callable[[NDArray[np.float32]], None]
    ) -> NDArray[np.float32]:
        """Write an array that need not fit in memory, and open it.

        Args:
            name: replaces what has this name.
            shape: (N, D).
            fill: gets the array, float32 [N, D], mapped to the disk, to assign to.

        """
        with files.new_file_path(self.folder / f"{name}.npy") as part:
            array = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
            fill(array)
            array.flush()
            del array
        self._arrays[name] = list(shape)
        self._write_index()
        return self.read(name)

    def write_rows(self, split: str, keys: NDArray[np.str_], labels: NDArray[np.integer]) -> None:
        """Write what the rows of a split's arrays are.

        Args:
            split: its name.
            keys: text [N], all different.
            labels: int [N], -1 for none.

        """
        for what, values in (
            ("keys", np.array(keys.tolist(), np.str_)),
            ("labels", labels.astype(np.int32)),
        ):
            with files.new_file(self.folder / f"{split}_{what}.npy") as file:
                np.save(file, values, allow_pickle=False)

    def read_rows(self, split: str) -> tuple[NDArray[np.str_], NDArray[np.int32]]:
        """Open the keys, text [N], and labels, int32 [N], of a split's rows.

        Raises:
            EvaluationError: if they were never written.

        """
        paths = [self.folder / f"{split}_{what}.npy" for what in ("keys", "labels")]
        for path in paths:
            if not path.exists():
                raise EvaluationError(
                    f"{self.folder} does not say what the rows of {split} are: expected {path.name}"
                )
        keys, labels = (np.load(path, mmap_mode="r", allow_pickle=False) for path in paths)
        return keys, labels

    def _open(self, name: str) -> NDArray[np.float32] | None:
        try:
            array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        whole = array.dtype == np.float32 and list(array.shape) == self._arrays[name]
        return array if whole else None

    def _write_index(self) -> None:
        content = {"fingerprint": self._fingerprint, "arrays": self._arrays}
        files.write_json(self.folder / INDEX, content)
