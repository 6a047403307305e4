"""File kinds: what the first bytes of a file say of it, whatever its name."""

import io

import numpy as np
import pytest
from PIL import Image

from twofold.components.data.rules.file_kinds import HEAD_BYTES, kind_of


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        *(("JPEG", "JPEG"), ("MPO", "JPEG"), ("PNG", "PNG"), ("WEBP", "WebP"), ("AVIF", "AVIF")),
        *(("TIFF", "TIFF"), ("BMP", "BMP"), ("GIF", "GIF"), ("JPEG2000", "JPEG 2000")),
        *(("ICO", "icon"), ("DDS", "DDS"), ("QOI", "QOI"), ("PPM", None), ("TGA", None)),
    ],
)
def test_the_first_bytes_tell_the_format(form, kind):
    file = io.BytesIO()
    picture = Image.fromarray(np.zeros((16, 16, 3), np.uint8))
    options = {"save_all": True, "append_images": [picture]} if form == "MPO" else {}
    picture.save(file, form, **options)
    assert kind_of(file.getvalue()[:HEAD_BYTES]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", None),
        (b"BMW is a maker of cars and motorcycles", None),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", None),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "camera raw"),
        (b"\xef\xbb\xbf\n<svg xmlns='...'>", "SVG"),
        (b"8BPS\0\x01", "Photoshop"),
    ],
)
def test_what_only_resembles_an_image_is_told_apart(head, kind):
    assert kind_of(head) == kind
