"""Image files: kept as they are where TensorFlow decodes them as Pillow does, or converted."""

import base64
import zipfile
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.components.data.rules.image_files import (
    OTHERS,
    PHOTOGRAPH,
    RGB,
    decoded,
    exif_of,
    frames,
    palette,
    png,
    random_rows,
    reason_of,
    save,
)
from twofold.components.data.rules.image_rules import ImageRules, RejectedError, check

REJECT = ImageRules(other_formats="reject")


FIRST = ImageRules(animated="first_frame")


GREY_16 = np.random.default_rng(1).integers(0, 65536, (9, 7), dtype=np.uint16)


# Five columns of four rows, 0 to 228 in steps of 12, as tools other than Pillow wrote them.
RAMP = 12 * np.arange(20, dtype=np.uint8).reshape(4, 5)


LOSSLESS_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALCAAEAAUBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAABAYI/9oACAEBAAEAAM/s"
    "Yxl4xjGXjGMZeMYxn//Z"
)


ARITHMETIC_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNywt"
    "QFdBRkxOUlNSMj5aYVpQYEpRUk//yQALCAAEAAUBAREA/8wABgAQEAX/2gAIAQEAAD8A0i+259lovm0t8P/Z"
)


KEPT = {
    **{f"Pillow's {mode}": save(RGB, "PNG", mode) for mode in ("1", "L", "LA", "RGB", "RGBA", "P")},
    "palette with alpha": save(PHOTOGRAPH.quantize(5), transparency=bytes([0, 100, 255])),
    "colour with a transparent one": save(RGB, transparency=(1, 2, 3)),
    "grey with a transparent one": save(RGB[..., 0], transparency=3),
    "PNG with a gamma": save(RGB, gamma=0.3),
    "interlaced PNG": png(8, 0, random_rows(13, 11), 11, interlaced=1),
    "PNG with bytes after its end": save(RGB) + b"more",
    **{f"grey of {bits} bits": png(bits, 0, random_rows(6, bits), 8) for bits in (1, 2, 4)},
    **{
        f"palette of {bits} bits, {colours} colours": png(
            bits, 3, random_rows(6, bits), 8, palette(colours)
        )
        for bits, colours in ((1, 2), (2, 3), (4, 16), (4, 9), (8, 256), (8, 100))
    },
    "colour of 16 bits": png(16, 2, random_rows(6, 54), 9),
    "colour of 16 bits with alpha": png(16, 6, random_rows(6, 72), 9),
    "grey of 16 bits with alpha": png(16, 4, random_rows(6, 36), 9),
    **{
        f"JPEG {subsampling}{' progressive' * progressive}": save(
            PHOTOGRAPH, "JPEG", subsampling=subsampling, progressive=progressive, quality=80
        )
        for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1")
        for progressive in (False, True)
    },
    "grey JPEG": save(PHOTOGRAPH, "JPEG", "L"),
    "grey JPEG of restarts": save(PHOTOGRAPH, "JPEG", "L", restart_marker_blocks=2),
    "JPEG of RGB": save(PHOTOGRAPH, "JPEG", keep_rgb=True),
    "JPEG with a comment": save(PHOTOGRAPH, "JPEG", comment=b"\xff\xd9 \xff\xda"),
    "JPEG with bytes after its end": save(PHOTOGRAPH, "JPEG") + b"more",
    "arithmetic JPEG": ARITHMETIC_JPEG,
}


@pytest.mark.parametrize("name", KEPT)
def test_a_file_is_kept_where_tensorflow_decodes_it_as_pillow_does(name):
    checked = check(KEPT[name])
    assert checked.payload is KEPT[name]
    assert (checked.format, checked.repair) == ("JPEG" if "JPEG" in name else "PNG", "")
    grey = checked.mode in ("1", "L", "LA")
    assert checked.pixels.dtype == np.uint8
    assert checked.pixels.shape[-1] == (1 if grey else 3)
    np.testing.assert_array_equal(
        checked.pixels, decoded(checked.payload, checked.pixels.shape[-1])
    )


def ycck(red, green, blue):
    """A JPEG of one colour whose four components are Adobe's YCCK with K = 0, stored inverted."""
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    components = [luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402, 255]
    # libjpeg makes C, M and Y of YCC by inverting red, green and blue, so they go in inverted;
    # Pillow inverts what it writes.
    components[0] = 255 - luma
    components[1:3] = [256 - c for c in components[1:3]]
    stored = np.round(np.clip(255 - np.array(components), 0, 255)).astype(np.uint8)
    content = save(Image.fromarray(np.full((16, 16, 4), stored), "CMYK"), "JPEG", quality=100)
    at = content.index(b"Adobe") + 11
    assert content[at] == 0
    return content[:at] + b"\x02" + content[at + 1 :]


@pytest.mark.parametrize(
    ("cmyk", "rgb"),
    [
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 255, 255, 0), (255, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((10, 20, 30, 255), (0, 0, 0)),
        # (255 - 51) * (255 - 102) / 255 = 122.4
        ((51, 102, 0, 102), (122, 92, 153)),
    ],
)
def test_cmyk_becomes_the_colour_that_its_inks_leave(cmyk, rgb):
    content = save(Image.new("CMYK", (16, 16), cmyk), "JPEG", quality=100)
    checked = check(content, ImageRules(one_colour="keep"))
    assert (checked.mode, checked.repair) == ("CMYK", "CMYK to RGB")
    np.testing.assert_allclose(checked.pixels[0, 0].astype(int), rgb, atol=2)
    assert checked.payload[:4] == b"\x89PNG"
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 3))


@pytest.mark.parametrize("rgb", [(255, 0, 0), (0, 255, 0), (30, 60, 200), (255, 255, 255)])
def test_adobes_ycck_becomes_the_colour_that_its_inks_leave(rgb):
    checked = check(ycck(*rgb), ImageRules(one_colour="keep"))
    assert (checked.mode, checked.repair) == ("CMYK", "CMYK to RGB")
    np.testing.assert_allclose(checked.pixels[0, 0].astype(int), rgb, atol=3)


def test_of_16_bit_grey_the_high_byte_counts_as_in_tensorflow():
    content = save(GREY_16)
    checked = check(content)
    assert (checked.mode, checked.repair) == ("I;16", "16 bit to 8")
    np.testing.assert_array_equal(checked.pixels[..., 0], GREY_16 // 256)
    np.testing.assert_array_equal(checked.pixels, tf.io.decode_png(content, dtype=tf.uint8))
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 1))


def test_a_lossless_jpeg_is_stored_as_png():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoded(LOSSLESS_JPEG, 1)
    checked = check(LOSSLESS_JPEG)
    assert checked.repair == "converted from lossless JPEG"
    np.testing.assert_array_equal(checked.pixels[..., 0], RAMP)
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 1))


def heic(pixels, **options):
    pytest.importorskip("pillow_heif").register_heif_opener()
    return save(pixels, "HEIF", quality=-1, chroma=444, matrix_coefficients=0, **options)


@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_rejected_or_converted(kind):
    assert reason_of(OTHERS[kind], REJECT) == f"wrong format ({kind})"
    checked = check(OTHERS[kind])
    assert (checked.format, checked.repair) == (kind, f"converted from {kind}")
    if kind == "AVIF":
        np.testing.assert_allclose(checked.pixels.astype(int), RGB, atol=3)
    elif kind != "GIF":
        np.testing.assert_array_equal(checked.pixels, RGB)
    assert checked.payload[:4] == b"\x89PNG"
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 3))


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(GREY_16), (GREY_16 // 256)[..., None]),
        (Image.fromarray(RGB).convert("CMYK"), RGB),
        (Image.fromarray(RGB[..., 0]), RGB[..., :1]),
    ],
)
def test_the_modes_of_tiff_become_grey_or_colour(picture, expected):
    checked = check(save(picture, "TIFF"))
    np.testing.assert_array_equal(checked.pixels, expected)


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_become_grey_by_the_range_that_they_fill(white):
    values = np.linspace(0, white, 63, dtype=np.float32).reshape(9, 7)
    checked = check(save(Image.fromarray(values), "TIFF"))
    assert checked.mode == "F"
    assert checked.repair == f"converted from TIFF, floats of 0 to {white} to 8 bit"
    # 62 steps from 0 to 255.
    expected = np.round(np.arange(63) * 255 / 62).astype(np.uint8).reshape(9, 7, 1)
    np.testing.assert_array_equal(checked.pixels, expected)
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 1))


@pytest.mark.parametrize("value", [-0.5, 70_000.0, np.nan, np.inf])
def test_floats_of_another_range_are_unsupported(value):
    values = np.linspace(0, 1, 63, dtype=np.float32).reshape(9, 7)
    values[3, 3] = value
    assert reason_of(save(Image.fromarray(values), "TIFF")) == "unsupported mode"


def test_a_telephones_heic_is_converted():
    content = heic(RGB, exif=exif_of(6))
    checked = check(content)
    # HEIF has turns of its own (ISO/IEC 23008-12, 6.5.10), of which EXIF's is but a copy.
    assert checked.repair == "converted from HEIF"
    np.testing.assert_array_equal(checked.pixels, RGB)
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 3))
    assert reason_of(content, REJECT) == "wrong format (HEIF)"


def test_a_heic_without_its_decoder_is_told_with_what_installs_it(monkeypatch):
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    monkeypatch.setattr("twofold.components.data.rules.image_rules.heif_opener", lambda: False)
    with pytest.raises(RejectedError, match=r"pip install 'twofold\[heic\]'") as caught:
        check(content)
    assert caught.value.reason == "wrong format (HEIC)"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP", "AVIF"])
def test_what_has_several_frames_is_animated(kind):
    content = frames(kind)
    assert reason_of(content) == "animated"
    checked = check(content, FIRST)
    assert checked.repair.endswith("first of several frames")
    first = check(save(RGB[:7], kind))
    np.testing.assert_allclose(checked.pixels.astype(int), first.pixels, atol=40)
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, 3))


def test_of_a_phones_several_pictures_the_first_counts():
    content = frames("MPO")
    checked = check(content)
    assert (checked.format, checked.repair) == ("MPO", "")
    assert checked.payload is content
    np.testing.assert_array_equal(checked.pixels, decoded(content, 3))
    np.testing.assert_array_equal(checked.pixels, check(save(RGB[:7], "JPEG")).pixels)


def test_a_mode_without_pixels_of_8_bits_is_unsupported():
    integers = save(Image.fromarray(np.zeros((9, 7), np.int32)), "TIFF")
    assert reason_of(integers) == "unsupported mode"


def test_photographs_are_kept_and_decode_in_tensorflow_to_the_same_pixels(shared_file):
    with zipfile.ZipFile(shared_file("imagenette96/val.zip")) as archive:
        names = [name for name in archive.namelist() if name.endswith((".jpg", ".JPEG"))][::40]
        contents = [archive.read(name) for name in names]
    repairs: Counter[str] = Counter()
    for content in contents:
        checked = check(content)
        repairs[checked.repair] += 1
        np.testing.assert_array_equal(
            checked.pixels, decoded(checked.payload, checked.pixels.shape[-1])
        )
    assert repairs == {"": len(contents)}
