"""Contact sheet of the common corruptions of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twofold.components.errors import DataError
from twofold.components.evaluation.plots.corruption_plots import plot_contact_sheet
from twofold.components.transforms.corruptions.common_corruptions import (
    CORRUPTIONS,
    SEVERITIES,
    corrupt,
)
from twofold.pipeline.cli.views_picture import decode_files, read_files

_LEAST_SIDE = 8


def picture_corruptions(images: Path | None, out: Path, *, seed: int, size: int | None) -> int:
    """Draws a row for each corruption: the image as it is, and at severity 1 to 5.

    Args:
        images: an image file, a folder, a .zip, a .tar or a .npz, of which the first image is
            taken; None draws a sprite.
        out: the PNG file to write.
        seed: of the noise.
        size: side in pixels to resize to; None for the image's own.

    Returns:
        How many corruptions are in the picture.

    Raises:
        DataError: if the image cannot be read, or is too small.

    """
    image = decode_files([*read_files(images, 1)], size)
    if min(image.shape[1:3]) < _LEAST_SIDE:
        raise DataError(
            f"{images}: expected an image of at least {_LEAST_SIDE} pixels a side, received "
            f"{image.shape[1]}x{image.shape[2]}: set --size"
        )
    key_hash = np.zeros(1, np.int64)
    rows = {
        name.replace("_", " "): np.concatenate(
            [
                image,
                *(
                    corrupt(image, name, severity, seed=seed, key_hashes=key_hash)
                    for severity in SEVERITIES
                ),
            ]
        )
        for name in CORRUPTIONS
    }
    plot_contact_sheet(rows, ["clean", *(f"severity {number}" for number in SEVERITIES)], out)
    return len(rows)
