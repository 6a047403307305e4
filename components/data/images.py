"""What counts as an image, and how one is stored.

Accepted are JPEG (also the multi-picture form that phones write) and PNG files that decode to the
end, in these of Pillow's modes: greyscale `1`, `L` and `LA`, colour `RGB` and `RGBA`, and palette
`P`, taken as colour. Transparency is dropped, as TensorFlow's decoders drop it. CMYK, 16-bit
greyscale and every other format or mode is rejected, and so are images above Pillow's limit on
pixels. Accepted are also uint8 arrays [H, W, C] with C 1 or 3.

A file is stored as it is, except where its EXIF orientation says that it is to be turned: neither
Pillow's nor TensorFlow's decoder does that, so it is turned here and stored as PNG. Arrays are
stored as PNG.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG")
_MODES = {"1": "L", "L": "L", "LA": "L", "RGB": "RGB", "RGBA": "RGB", "P": "RGB"}


class RejectedError(Exception):
    """Why an image cannot be used: a short reason to count by, and the particulars."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Checked:
    """A usable image: its pixels, uint8 [H, W, 1 or 3], and whether it is stored as it came."""

    pixels: np.ndarray
    keep_bytes: bool


def check(image: bytes | np.ndarray) -> Checked:
    """Decode an image to the end.

    Raises:
        RejectedError: it is not an image as the module's docstring describes.

    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
            raise RejectedError("unsupported array", f"{image.dtype} of shape {image.shape}")
        return Checked(image, keep_bytes=False)
    if not image:
        raise RejectedError("empty file", "0 bytes")
    decoded, turned = _decode(image)
    pixels = np.asarray(decoded)
    return Checked(pixels if pixels.ndim == 3 else pixels[..., None], keep_bytes=not turned)


def encode(image: bytes | np.ndarray, keep_bytes: bool) -> bytes:
    """The JPEG or PNG bytes to store of an image that `check` accepted."""
    if isinstance(image, bytes):
        if keep_bytes:
            return image
        picture, _ = _decode(image)
    else:
        picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    return encoded.getvalue()


def _decode(content: bytes) -> tuple[Image.Image, bool]:
    """The upright picture in mode L or RGB, and whether it had to be turned."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            # Pillow itself refuses only twice its limit, and warns below that.
            if picture.width * picture.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise RejectedError("too large", f"{picture.width} x {picture.height} pixels")
            if picture.mode not in _MODES:
                raise RejectedError("unsupported mode", f"{picture.format} of mode {picture.mode}")
            picture.load()
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
            upright = ImageOps.exif_transpose(picture) if turned else picture
            return upright.convert(_MODES[upright.mode]), turned
    except UnidentifiedImageError:
        raise RejectedError("neither JPEG nor PNG", f"starts with {content[:8]!r}") from None
    except Image.DecompressionBombError as error:
        raise RejectedError("too large", str(error)) from None
    # Pillow's decoders report damage by many types; any of them means that it cannot be decoded.
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError) as error:
        raise RejectedError("damaged", f"{type(error).__name__}: {error}") from None
