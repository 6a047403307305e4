import base64
import io
import struct
import zipfile
import zlib
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from twofold.components.data.rules.image_rules import ImageRules, RejectedError, check

REJECT = ImageRules(other_formats="reject")
FIRST = ImageRules(animated="first_frame")
RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
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


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits, colour_type, rows, width, *extra, interlaced=0):
    """A PNG of rows of packed samples; `extra` are chunks before the pixels."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, interlaced)
    lines = b"".join(b"\0" + row for row in rows) if not interlaced else rows_of_passes(rows)
    body = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(extra) + body + END


END = chunk(b"IEND", b"")


def rows_of_passes(rows):
    """Adam7, of grey samples of one byte: offsets and steps of each pass, down and across."""
    pixels = np.array([list(row) for row in rows], np.uint8)
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    parts = [pixels[y::dy, x::dx] for y, x, dy, dx in (*passes, (1, 0, 2, 1))]
    return b"".join(b"\0" + row.tobytes() for part in parts for row in part if row.size)


def random_rows(count, size, seed=0):
    return [
        row.tobytes() for row in np.random.default_rng(seed).integers(0, 256, (count, size), "u1")
    ]


def palette(colours):
    return chunk(b"PLTE", random_rows(1, 3 * colours, seed=7)[0])


def decoded(payload, channels):
    return tf.io.decode_jpeg(payload, channels, dct_method="INTEGER_ACCURATE").numpy()


def reason_of(image, rules=None):
    with pytest.raises(RejectedError) as caught:
        check(image, rules) if rules else check(image)
    assert caught.value.detail
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value.reason


PHOTOGRAPH = smooth(33, 47)

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


OTHERS = {
    "AVIF": save(RGB, "AVIF", quality=100, subsampling="4:4:4"),
    "GIF": save(RGB, "GIF", "P"),
    "BMP": save(RGB, "BMP"),
    "TIFF": save(RGB, "TIFF", compression="tiff_lzw"),
    "WEBP": save(RGB, "WEBP", lossless=True),
}


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


def frames(kind, **options):
    pictures = [Image.fromarray(np.rot90(RGB[:7], k)) for k in range(3)]
    return save(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)


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


def test_a_mode_without_pixels_of_8_bits_is_unsupported():
    integers = save(Image.fromarray(np.zeros((9, 7), np.int32)), "TIFF")
    assert reason_of(integers) == "unsupported mode"


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


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


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
