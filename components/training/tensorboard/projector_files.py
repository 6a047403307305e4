"""Projector files of TensorBoard: embeddings with thumbnails and what is known of each image."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from numpy.typing import NDArray
from PIL import Image
from tensorboard.plugins.projector import ProjectorConfig

from twofold.components import files

# The widest picture that browsers take as a texture, and the thumbnails that suffice.
_SPRITE = 8192
_THUMBNAIL = 64
# Of whose bytes TensorBoard makes rows and columns.
_SEPARATORS = str.maketrans("\t\r\n", "   ")


def write_projector_files(
    directory: Path,
    name: str,
    embeddings: NDArray[np.floating],
    columns: Mapping[str, Sequence[object]],
    images: NDArray[np.uint8],
) -> None:
    """Writes what the projector shows of a run.

    Args:
        directory: of the run's event files.
        name: of the embeddings.
        embeddings: float [N, D].
        columns: what is shown of an image, by title, N values each; the first names the image.
        images: uint8 [N, H, W, C], C 1 or 3.

    """
    titles = list(columns) if len(columns) > 1 else [*columns, "row"]
    values = [*columns.values()] if len(columns) > 1 else [*columns.values(), range(len(images))]
    rows = [titles, *zip(*values, strict=True)]
    lines = ("\t".join(str(one).translate(_SEPARATORS) for one in row) for row in rows)
    files.write_text(directory / f"{name}_images.tsv", "\n".join(lines) + "\n")
    vectors = ("\t".join(f"{value:.5g}" for value in row) for row in embeddings)
    files.write_text(directory / f"{name}.tsv", "\n".join(vectors) + "\n")
    sprite, size = _sprite(images)
    encoded = io.BytesIO()
    sprite.save(encoded, "PNG")
    files.write_bytes(directory / f"{name}.png", encoded.getvalue())
    config = ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = name
    embedding.tensor_path = f"{name}.tsv"
    embedding.tensor_shape.extend(embeddings.shape)
    embedding.metadata_path = f"{name}_images.tsv"
    embedding.sprite.image_path = f"{name}.png"
    embedding.sprite.single_image_dim.extend(size)
    files.write_text(directory / "projector_config.pbtxt", text_format.MessageToString(config))


def _sprite(images: NDArray[np.uint8]) -> tuple[Image.Image, tuple[int, int]]:
    """Puts thumbnails into one picture, row by row; gives it and their width and height."""
    side = math.ceil(math.sqrt(len(images)))
    longest = min(_THUMBNAIL, _SPRITE // side, max(images.shape[1:3]))
    height, width = (
        max(1, round(length * longest / max(images.shape[1:3]))) for length in images.shape[1:3]
    )
    sheet = Image.new("RGB", (side * width, side * height), "white")
    for index, pixels in enumerate(images):
        one = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        row, column = divmod(index, side)
        sheet.paste(
            one.convert("RGB").resize((width, height), Image.Resampling.BILINEAR),
            (column * width, row * height),
        )
    return sheet, (width, height)
