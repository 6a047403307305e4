"""Pixel modes of decoded pictures, brought to 8 bits of grey or colour."""

from __future__ import annotations

import numpy as np
from PIL import Image

GREY = ("1", "L", "LA")
COLOUR = ("RGB", "RGBA", "RGBX", "P", "PA", "CMYK")
GREY_16 = ("I;16", "I;16L", "I;16B")
FLOAT = "F"


def pixels_of(picture: Image.Image) -> np.ndarray:
    """Uint8 [H, W, 1 or 3] of a decoded picture in a mode of `GREY`, `COLOUR` or `GREY_16`."""
    if picture.mode in GREY_16:
        return (np.asarray(picture) >> 8).astype(np.uint8)[..., None]
    if picture.mode in GREY:
        return np.asarray(picture if picture.mode == "L" else picture.convert("L"))[..., None]
    if picture.mode != "RGB":
        # Pillow warns of a palette's transparency, which is to be dropped anyway.
        picture.info.pop("transparency", None)
        picture = picture.convert("RGB")
    return np.asarray(picture)


def pixels_of_floats(picture: Image.Image) -> tuple[np.ndarray, float]:
    """Uint8 [H, W, 1] of a picture of 32-bit floats, and the value that became 255.

    That is 1 where all values lie in [0, 1], 255 where they lie in [0, 255], and else 65535; from 0
    to that value the pixels are linear, and rounded halves to even.

    Raises:
        ValueError: a value is below 0, above 65535, or no number.

    """
    values = np.asarray(picture)
    low, high = float(values.min()), float(values.max())
    white = next((each for each in (1.0, 255.0, 65535.0) if high <= each), None)
    if white is None or not low >= 0:
        raise ValueError(f"floats from {low:g} to {high:g}; expected 0 to 1, 255 or 65535")
    return np.round(values * (255.0 / white)).astype(np.uint8)[..., None], white
