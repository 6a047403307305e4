"""Image rules: sizes, reduced images, and what else of an image is held to them."""

import struct

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tests.components.data.rules.image_files import (
    PHOTOGRAPH,
    RGB,
    chunk,
    decoded,
    reason_of,
    save,
    smooth,
)
from twofold.components.data.rules.image_rules import ImageRules, check
from twofold.components.errors import DataError


@pytest.mark.parametrize("image", [RGB, save(RGB), save(RGB, "JPEG")])
@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (ImageRules(min_side=8), "too small"),
        (ImageRules(max_pixels=62), "too large"),
        (ImageRules(min_side=7, max_pixels=63), None),
    ],
)
def test_sizes_are_held_to_the_rules(image, rules, reason):
    if reason is None:
        assert check(image, rules).pixels.shape == (9, 7, 3)
    else:
        assert reason_of(image, rules) == reason


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(1000, 64_001), (10_000, 10_000), (4, 65_501), (2**31 - 1,) * 2])
def test_a_bomb_is_too_large_before_it_is_decoded(size):
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert reason_of(bomb) == "too large"


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7, 1), (1, 1, 3)])
def test_one_colour_is_rejected_unless_it_is_to_be_kept(shape):
    pixels = np.broadcast_to(np.array([5, 7, 9], np.uint8)[: shape[-1]], shape)
    for image in (pixels, save(pixels.squeeze() if shape[-1] == 1 else pixels)):
        assert reason_of(image, ImageRules(min_side=1)) == "one colour"
        kept = check(image, ImageRules(min_side=1, one_colour="keep"))
        np.testing.assert_array_equal(kept.pixels, pixels)


@given(st.integers(0, 8), st.integers(0, 6), st.integers(0, 2))
def test_one_different_value_is_enough_to_be_accepted(row, column, channel):
    pixels = np.full((9, 7, 3), 200, np.uint8)
    pixels[row, column, channel] -= 1
    np.testing.assert_array_equal(check(pixels).pixels, pixels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_as", ["array", "JPEG", "PNG"])
def test_the_form_in_which_images_are_stored(channels, image_as):
    pixels = np.asarray(PHOTOGRAPH)[..., :channels]
    image = pixels if image_as == "array" else save(pixels.squeeze(), image_as)
    came = check(image).pixels
    for form, start in (
        ("source", None),
        ("png", b"\x89PNG"),
        ("jpeg", b"\xff\xd8\xff"),
        ("raw", b""),
    ):
        checked = check(image, ImageRules(stored_as=form))
        assert checked.repair == ""
        assert checked.format == image_as
        assert checked.mode == ("array" if image_as == "array" else "L" if channels == 1 else "RGB")
        if form == "raw":
            assert checked.payload == came.tobytes()
            np.testing.assert_array_equal(checked.pixels, came)
            continue
        np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, channels))
        if form == "source" and image_as != "array":
            assert checked.payload is image
            continue
        assert checked.payload.startswith(start or b"\x89PNG")
        if form == "jpeg":
            error = np.abs(checked.pixels.astype(int) - came).mean()
            assert 0 < error < 4
        else:
            np.testing.assert_array_equal(checked.pixels, came)


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_what_is_stored_depends_on_the_pixels_alone(form):
    bare = save(RGB)
    laden = save(
        RGB, compress_level=1, gamma=0.5, dpi=(72, 72), icc_profile=b"profile", comment=b"x"
    )
    assert bare != laden
    rules = ImageRules(stored_as=form)
    assert check(bare, rules).payload == check(laden, rules).payload == check(RGB, rules).payload


def test_a_jpeg_of_lower_quality_is_smaller():
    sizes = [
        len(check(RGB, ImageRules(stored_as="jpeg", jpeg_quality=quality)).payload)
        for quality in (10, 50, 95)
    ]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize(
    ("height", "width", "stored"),
    [
        (64, 64, (16, 16)),
        (90, 41, (35, 16)),
        (31, 64, (16, 33)),
        (16, 99, (16, 99)),
        (9, 7, (9, 7)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_larger_images_are_reduced_as_tensorflow_reduces_them(height, width, stored, channels):
    pixels = np.asarray(smooth(height, width))[..., :channels]
    checked = check(pixels, ImageRules(stored_size=16))
    assert checked.pixels.shape == (*stored, channels)
    assert checked.repair == ("" if stored == (height, width) else "reduced")
    expected = tf.image.resize(pixels, stored, antialias=True).numpy()
    np.testing.assert_allclose(checked.pixels.astype(float), expected, atol=1)
    np.testing.assert_array_equal(checked.pixels, decoded(checked.payload, channels))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("min_side", 0, "from 1 to"),
        ("max_pixels", 0, "from 1 to"),
        ("max_pixels", 10**9, "to 89478485"),
        ("max_pixels", 1.5, "whole number"),
        ("one_colour", "drop", "'reject' or 'keep'"),
        ("other_formats", True, "'reject' or 'convert'"),
        ("stored_as", "webp", "'source' or 'jpeg' or 'png' or 'raw'"),
        ("stored_size", 3, "from 4 to"),
        ("jpeg_quality", 101, "from 1 to 100"),
        ("jpeg_quality", True, "from 1 to 100"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(field, value, expected):
    with pytest.raises(DataError) as caught:
        ImageRules(**{field: value})
    for said in (field, expected, repr(value)):
        assert said in str(caught.value)
