"""Damaged images: rejected with a reason, or decoded by TensorFlow to the same pixels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.components.data.rules.image_files import (
    END,
    OTHERS,
    PHOTOGRAPH,
    RGB,
    decoded,
    frames,
    palette,
    png,
    random_rows,
    reason_of,
    save,
)
from twofold.components.data.rules.image_rules import RejectedError, check


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"just some text\n", "wrong format"),
        (save(PHOTOGRAPH, "PPM"), "wrong format"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20), "wrong format (JPEG 2000)"),
        (b"8BPS" + bytes(20), "wrong format (Photoshop)"),
        (OTHERS["WEBP"][:30], "damaged"),
        (save(PHOTOGRAPH)[:60], "damaged"),
        (save(PHOTOGRAPH, "JPEG")[:60], "damaged"),
        (save(PHOTOGRAPH)[:-12], "damaged"),
        (save(PHOTOGRAPH)[:-12] + END[:-1], "damaged"),
        (png(8, 3, random_rows(6, 9), 9), "damaged"),
        (png(8, 3, random_rows(6, 9), 9, palette(9), palette(9)), "damaged"),
        (np.zeros((4, 4, 2), np.uint8), "unsupported array"),
        (np.zeros((4, 4), np.uint8), "unsupported array"),
        (np.zeros((4, 4, 3), np.float32), "unsupported array"),
        (np.zeros((0, 4, 3), np.uint8), "too small"),
    ],
)
def test_what_is_no_usable_image_is_rejected_with_a_reason(content, reason):
    assert reason_of(content) == reason


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_cut_short_is_damaged(kind, kept):
    content = save(PHOTOGRAPH, kind)
    assert reason_of(content[: int(len(content) * kept)]) == "damaged"


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_progressive_jpeg_that_lacks_scans_is_damaged(mode):
    scans = save(PHOTOGRAPH, "JPEG", mode, progressive=True).split(b"\xff\xda")
    assert len(scans) > 5
    for count in range(2, len(scans)):
        cut = b"\xff\xda".join(scans[:count]) + b"\xff\xd9"
        assert reason_of(cut) == "damaged"


def test_every_byte_of_a_png_is_checked():
    content = save(RGB, "PNG", "P")
    for i in range(8, len(content)):
        changed = content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :]
        assert reason_of(changed) == "damaged"


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150)
@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"RIFF\0\0\0\0WEBP",
        ]
    ),
)
def test_no_bytes_raise_anything_but_a_rejection(content, start):
    assert reason_of(start + content)


FUZZED = [
    save(PHOTOGRAPH, "JPEG"),
    save(PHOTOGRAPH, "JPEG", progressive=True),
    save(PHOTOGRAPH, "JPEG", "L"),
    save(PHOTOGRAPH.quantize(9)),
    frames("MPO"),
    *OTHERS.values(),
]


# Pillow also warns of some damage.
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300)
@given(
    st.sampled_from(FUZZED),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=3),
    st.floats(0.5, 1) | st.just(1.0),
)
def test_damage_is_rejected_or_decodes_in_tensorflow_to_the_same_pixels(content, flips, kept):
    changed = bytearray(content)
    for place, bit in flips:
        changed[int(place * len(changed))] ^= 1 << bit
    try:
        checked = check(bytes(changed[: int(kept * len(changed))]))
    except RejectedError:
        return
    np.testing.assert_array_equal(
        checked.pixels, decoded(checked.payload, checked.pixels.shape[-1])
    )
