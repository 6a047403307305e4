"""Image files made for tests, whole and by their chunks, and what becomes of their bytes."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from twofold.components.data.rules.image_rules import RejectedError, check

RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def save(pixels, kind="PNG", mode=None, **options):
    """The bytes of an image file; `pixels` is an array or a Pillow image."""
    picture = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    file = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(file, kind, **options)
    return file.getvalue()


def smooth(height, width, seed=0):
    """A picture that compresses as photographs do."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


PHOTOGRAPH = smooth(33, 47)


def frames(kind, **options):
    pictures = [Image.fromarray(np.rot90(RGB[:7], k)) for k in range(3)]
    return save(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


END = chunk(b"IEND", b"")


def png(bits, colour_type, rows, width, *extra, interlaced=0):
    """A PNG of rows of packed samples; `extra` are chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, interlaced)
    lines = b"".join(b"\0" + row for row in rows) if not interlaced else rows_of_passes(rows)
    body = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + body + END


def random_rows(count, size, seed=0):
    return [
        row.tobytes() for row in np.random.default_rng(seed).integers(0, 256, (count, size), "u1")
    ]


def rows_of_passes(rows):
    """Adam7, of grey samples of one byte: offsets and steps of each pass, down and across."""
    pixels = np.array([list(row) for row in rows], np.uint8)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    parts = [pixels[y::dy, x::dx] for y, x, dy, dx in (*passes, (1, 0, 2, 1))]
    return b"".join(b"\0" + row.tobytes() for part in parts for row in part if row.size)


def palette(colours):
    return chunk(b"PLTE", random_rows(1, 3 * colours, seed=7)[0])


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


OTHERS = {
    "AVIF": save(RGB, "AVIF", quality=100, subsampling="4:4:4"),
    "GIF": save(RGB, "GIF", "P"),
    "BMP": save(RGB, "BMP"),
    "TIFF": save(RGB, "TIFF", compression="tiff_lzw"),
    "WEBP": save(RGB, "WEBP", lossless=True),
}


def decoded(payload, channels):
    return tf.io.decode_jpeg(payload, channels, dct_method="INTEGER_ACCURATE").numpy()


def reason_of(image, rules=None):
    with pytest.raises(RejectedError) as caught:
        check(image, rules) if rules else check(image)
    assert caught.value.detail
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value.reason
