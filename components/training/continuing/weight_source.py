"""Weight sources: whose weights a training starts from, found on disk and known by their content.

Nothing here needs TensorFlow.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

from twofold.components.errors import ConfigError
from twofold.components.training.resuming.checkpoint_files import (
    CHECKSUMS,
    damage,
    list_checkpoints,
    newest_intact,
)

_SETTING = "training.start_from"
_EXPECTED = (
    "expected the directory of a run, its checkpoints, one of them (ckpt-STEP, final), or a "
    "PyTorch file (.pth)"
)
# What TensorFlow's files of weights, and of a whole training, begin with.
_PREFIXES = ("weights", "state")
_CHECKPOINTS = "checkpoints"
# The first bytes of zip archives and of the pickles of before.
_TORCH = (b"P", b"\x80")
_OR_RUN = ", the directory of a run, or one of its checkpoints"
# Damaged files that are named.
_NAMED = 2


@dataclasses.dataclass(frozen=True)
class WeightSource:
    """Weights on disk.

    Attributes:
        kind: of whose format they are.
        path: of the file; of a checkpoint, what its files' names begin with.
        name: of the checkpoint, or the file, for people.

    """

    kind: Literal["checkpoint", "torch"]
    path: Path
    name: str

    @property
    def files(self) -> list[Path]:
        """The files that hold the weights."""
        if self.kind == "torch":
            return [self.path]
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))

    def checksum(self) -> str:
        """Returns the SHA-256 of the files' content, hexadecimal."""
        total = hashlib.sha256()
        for path in self.files:
            status = path.stat()
            total.update(_digest(path, status.st_size, status.st_mtime_ns))
        return total.hexdigest()


@functools.cache
def _digest(path: Path, size: int, modified_ns: int) -> bytes:
    """Reads a file once, however often a run asks for it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def find_weights(given: str) -> WeightSource:
    """Finds the weights that a training is to start from.

    Of a run, or of its checkpoints, those that training ended with; of one that has not ended, or
    whose final weights are damaged, those of the newest intact checkpoint.

    Args:
        given: a path, as the setting has it.

    Raises:
        ConfigError: if there is nothing such at the path.

    """
    path = Path(given).expanduser()
    if path.is_file():
        check_torch_file(_SETTING, given)
        return WeightSource("torch", path, path.name)
    if not path.is_dir():
        raise ConfigError(f"{_SETTING}={given}: there is no such file or directory: {_EXPECTED}")
    if (path / _CHECKPOINTS).is_dir():
        path = path / _CHECKPOINTS
    for directory in (path, path / "final"):
        for prefix in _PREFIXES:
            if (directory / f"{prefix}.index").is_file() and _is_intact(directory):
                return WeightSource("checkpoint", directory / prefix, directory.name)
    newest = newest_intact(path)
    if newest is None:
        directories = (path, path / "final", *(one.path for one in list_checkpoints(path)))
        named = "; ".join([one for one in map(_damage, directories) if one][:_NAMED])
        why = f" ({named})" if named else ""
        raise ConfigError(f"{_SETTING}={given} holds no intact weights{why}: {_EXPECTED}")
    return WeightSource("checkpoint", Path(newest.prefix), newest.path.name)


def check_torch_file(setting: str, given: str) -> None:
    """Refuses a file that is of another program, by its content; whether it is whole, time tells.

    Args:
        setting: that names it.
        given: its path.

    Raises:
        ConfigError: if it cannot be read, or is no PyTorch file.

    """
    path = Path(given).expanduser()
    try:
        with path.open("rb") as file:
            start = file.read(2)
        others = zipfile.is_zipfile(path) and not _has_pickle(path)
    except OSError as error:
        raise ConfigError(
            f"{setting}={given}: expected a PyTorch file, received: {error.strerror}"
        ) from None
    if others or start[:1] not in _TORCH:
        raise ConfigError(
            f"{setting}={given} is no PyTorch file: expected a state dict as "
            f"torch.save(model.state_dict(), FILE) writes it"
            f"{_OR_RUN if setting == _SETTING else ''}"
        )


def _has_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(one).name == "data.pkl" for one in archive.namelist())
    except zipfile.BadZipFile:
        # Its reader says what is damaged.
        return True


def _is_intact(directory: Path) -> bool:
    return _damage(directory) is None


def _damage(directory: Path) -> str | None:
    # Earlier versions wrote no checksums.
    return damage(directory) if (directory / CHECKSUMS).exists() else None
