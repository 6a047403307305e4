"""Turned images: stored upright, as EXIF says how they are to be seen."""

import numpy as np
import pytest
from PIL import Image

from tests.components.data.rules.image_files import RGB, decoded, exif_of, save
from twofold.components.data.rules.image_rules import ImageRules, check

TURNED = {
    1: RGB,
    2: RGB[:, ::-1],
    3: RGB[::-1, ::-1],
    4: RGB[::-1],
    5: RGB.transpose(1, 0, 2),
    6: np.rot90(RGB, -1),
    7: RGB[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(RGB),
    9: RGB,
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_a_turned_photograph_is_stored_upright(orientation, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = save(RGB, kind, exif=exif_of(orientation), **options)
    checked = check(content)
    np.testing.assert_array_equal(checked.pixels, TURNED[orientation])
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 3))
    if kind == "PNG":
        assert (checked.payload is content) == (orientation in (1, 9))
        assert checked.repair == ("" if orientation in (1, 9) else "turned upright")


def test_a_turned_jpeg_is_stored_as_png_of_the_pixels_that_it_had():
    content = save(RGB, "JPEG", exif=exif_of(6))
    checked = check(content)
    assert checked.payload[:4] == b"\x89PNG"
    np.testing.assert_array_equal(checked.pixels, np.rot90(decoded(content, 3), -1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff"]
)
def test_exif_data_that_cannot_be_read_turn_nothing(exif):
    content = save(RGB, "JPEG", exif=exif)
    assert check(content).payload is content


def test_repairs_are_told_in_order():
    turned = save(Image.fromarray(RGB).convert("CMYK"), "JPEG", exif=exif_of(6))
    checked = check(turned, ImageRules(stored_size=5))
    assert checked.repair == "CMYK to RGB, turned upright, reduced"
    assert checked.pixels.shape == (5, 6, 3)
