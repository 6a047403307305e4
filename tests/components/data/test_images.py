import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.data.images import RejectedError, check, encode


def png(pixels, mode=None, **options):
    file = io.BytesIO()
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(file, "PNG", **options)
    return file.getvalue()


RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_accepted_modes_decode_as_in_tensorflow(mode):
    content = png(RGB, mode)
    checked = check(content)
    assert checked.keep_bytes
    assert checked.pixels.shape == (9, 7, 1 if mode in ("1", "L", "LA") else 3)
    expected = tf.io.decode_jpeg(
        content, channels=checked.pixels.shape[-1], dct_method="INTEGER_ACCURATE"
    )
    np.testing.assert_array_equal(checked.pixels, expected)
    assert encode(content, keep_bytes=True) is content


def test_a_jpeg_decodes_as_in_tensorflow(image_bytes):
    content = image_bytes(1, size=(19, 23))
    expected = tf.io.decode_jpeg(content, dct_method="INTEGER_ACCURATE")
    np.testing.assert_array_equal(check(content).pixels, expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"just some text\n", "neither JPEG nor PNG"),
        (png(np.zeros((4, 4), np.uint16)), "unsupported mode"),
        (png(RGB)[:60], "damaged"),
        (np.zeros((4, 4, 2), np.uint8), "unsupported array"),
        (np.zeros((4, 4, 3), np.float32), "unsupported array"),
    ],
)
def test_what_is_no_usable_image_is_rejected_with_a_reason(content, reason):
    with pytest.raises(RejectedError) as caught:
        check(content)
    assert caught.value.reason == reason
    assert caught.value.detail


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_jpeg_is_damaged(image_bytes, kept):
    content = image_bytes(1, size=(40, 40))
    with pytest.raises(RejectedError, match="damaged"):
        check(content[: int(len(content) * kept)])


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("P", "GIF")])
def test_other_formats_and_colour_spaces_are_rejected(image_bytes, mode, kind):
    with pytest.raises(RejectedError):
        check(image_bytes(0, mode=mode, file_format=kind))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [9 * 7 - 1, 9 * 7 // 3])
def test_an_image_above_the_limit_is_rejected(monkeypatch, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(RejectedError) as caught:
        check(png(RGB))
    assert caught.value.reason == "too large"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_stored_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = png(RGB, exif=exif)
    checked = check(content)
    assert checked.keep_bytes == (orientation == 1)
    stored = tf.io.decode_jpeg(encode(content, checked.keep_bytes))
    np.testing.assert_array_equal(stored, checked.pixels)
    turned = {1: RGB, 3: RGB[::-1, ::-1], 6: np.rot90(RGB, -1), 8: np.rot90(RGB)}
    if orientation in turned:
        np.testing.assert_array_equal(stored, turned[orientation])


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_stored_losslessly(channels):
    pixels = RGB[..., :channels]
    assert not check(pixels).keep_bytes
    stored = tf.io.decode_jpeg(encode(pixels, keep_bytes=False))
    np.testing.assert_array_equal(stored, pixels)
