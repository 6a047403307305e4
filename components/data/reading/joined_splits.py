"""Joined splits: several as one, without a copy of their images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from twofold.components.data.reading.encoded_images import EncodedImages
from twofold.components.data.reading.split import ImageRows, Split


def join(splits: Sequence[Split]) -> Split:
    """The rows of splits of one dataset, one split after the other.

    Images are reached where they are: in memory, memory-mapped or in the shards.

    Args:
        splits: with images of one shape, decoded by one rule; the images of all or of none are
            `EncodedImages`.

    Raises:
        ValueError: the images differ in shape, or only some are encoded.

    """
    shapes = {split.images.shape[1:] for split in splits}
    if len(shapes) > 1:
        raise ValueError(f"images of one shape can be joined, received {sorted(shapes)}")
    images: Any = [split.images for split in splits]
    encoded = [is_encoded(split) for split in splits]
    if any(encoded) and not all(encoded):
        raise ValueError("decoded and encoded images cannot be joined")
    weights = [split.weights for split in splits if split.weights is not None]
    return Split(
        images=cast(
            np.ndarray, EncodedImages.join(images) if any(encoded) else JoinedImages(images)
        ),
        labels=np.concatenate([split.labels for split in splits]),
        keys=np.concatenate([split.keys for split in splits]),
        latents=np.concatenate([split.latents for split in splits]),
        class_names=splits[0].class_names,
        latent_names=splits[0].latent_names,
        name=" and ".join(split.name for split in splits),
        weights=np.concatenate(weights) if len(weights) == len(splits) else None,
    )


def is_encoded(split: Split) -> bool:
    """Whether the images are `EncodedImages`, which are decoded whenever they are read."""
    images: Any = split.images
    return isinstance(images, EncodedImages)


class JoinedImages(ImageRows):
    """Arrays uint8 [N, H, W, C], one after the other, that read as one."""

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        self._parts = tuple(parts)
        # Where each part begins, and where the last one ends.
        self._starts = np.cumsum([0, *(len(part) for part in self._parts)])
        super().__init__(int(self._starts[-1]), self._parts[0].shape[1:])

    def take(
        self, rows: np.ndarray, axis: int = 0, out: np.ndarray | None = None, mode: str = "clip"
    ) -> np.ndarray:
        """The images of rows, int64 [B] from 0 up, as numpy's `take` gives them along axis 0."""
        taken = np.empty((len(rows), *self.shape[1:]), np.uint8) if out is None else out
        of_part = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(of_part).tolist():
            positions = np.flatnonzero(of_part == number)
            part = self._parts[number]
            taken[positions] = part.take(
                rows[positions] - self._starts[number], axis=0, mode="clip"
            )
        return taken
