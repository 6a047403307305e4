"""Recorded requests: answered when a model was exported, kept beside it with their answers."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twofold.components import files
from twofold.components.errors import ExportedModelError
from twofold.components.export.saved_model.version_directory import EXTRA

SAMPLE_FILE = "sample.npz"

_KEYS = ("buffer", "lengths", "images", "embeddings")


@dataclasses.dataclass(frozen=True, eq=False)
class RecordedSample:
    """Images, and the embeddings that the encoder gave them before it was exported.

    Attributes:
        image_bytes: N whole image files.
        images: uint8 [N, H, W, C], the same images decoded.
        embeddings: float32 [N, D].

    Raises:
        ValueError: if there is none, or their numbers differ.

    """

    image_bytes: Sequence[bytes]
    images: np.ndarray
    embeddings: np.ndarray

    def __post_init__(self) -> None:
        counts = [len(self.image_bytes), len(self.images), len(self.embeddings)]
        if len(set(counts)) != 1 or not counts[0]:
            raise ValueError(
                f"a sample has as many files, images and embeddings, and at least one of each, "
                f"received {counts}"
            )


def write_sample(version: Path, sample: RecordedSample) -> Path:
    """Writes ``assets.extra/sample.npz`` into a version directory."""
    path = version / EXTRA / SAMPLE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.new_file(path) as file:
        # Fixed-width strings would lose trailing zeros: the files are one buffer and their lengths.
        np.savez(
            file,
            buffer=np.frombuffer(b"".join(sample.image_bytes), np.uint8),
            lengths=np.array([len(one) for one in sample.image_bytes], np.int64),
            images=sample.images,
            embeddings=sample.embeddings,
        )
    return path


def read_sample(version: Path) -> RecordedSample | None:
    """Reads what ``write_sample`` wrote; None where there is none.

    Raises:
        ExportedModelError: if the file is damaged.

    """
    path = version / EXTRA / SAMPLE_FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            buffer, lengths, images, embeddings = (arrays[key] for key in _KEYS)
        parts = np.split(buffer, np.cumsum(lengths)[:-1])
        return RecordedSample([part.tobytes() for part in parts], images, embeddings)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ExportedModelError(f"{path} is damaged: {error}") from error
