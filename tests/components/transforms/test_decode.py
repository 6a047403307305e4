import io
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from twofold.components.transforms.decode import DecodeRule, decode_image, decode_images

HEIGHT, WIDTH = 24, 31
RGB = DecodeRule(HEIGHT, WIDTH, 3)
GREY = DecodeRule(HEIGHT, WIDTH, 1)


def pixels(*shape, seed=0):
    """Noise on a slope, so that every decoder and resizer has work to do."""
    random = np.random.default_rng(seed)
    slope = np.linspace(0, 155, shape[0] * shape[1]).reshape(shape[:2] + (1,) * (len(shape) - 2))
    return (slope + random.integers(0, 100, shape)).astype(np.uint8)


def encoded(picture, form="PNG", **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def decoded(contents, rule):
    return decode_image(tf.constant(contents), rule).numpy()


def by_pillow(contents, mode):
    result = np.asarray(Image.open(io.BytesIO(contents)).convert(mode))
    return result if result.ndim == 3 else result[..., None]


def with_png_size(height, width):
    """The start of a PNG file that claims a size, and rubbish where the pixels should be."""
    whole = encoded(pixels(4, 4, 3))
    return whole[:16] + width.to_bytes(4) + height.to_bytes(4) + whole[24:]


def with_jpeg_size(height, width):
    whole = encoded(pixels(4, 4, 3), "JPEG")
    frame = whole.index(b"\xff\xc0") + 5
    return whole[:frame] + height.to_bytes(2) + width.to_bytes(2) + whole[frame + 4 :]


FILES = {
    "RGB PNG": encoded(pixels(HEIGHT, WIDTH, 3)),
    "grey PNG": encoded(pixels(HEIGHT, WIDTH)),
    "palette PNG": encoded(Image.fromarray(pixels(HEIGHT, WIDTH, 3)).quantize(16)),
    "bilevel PNG": encoded(Image.fromarray(pixels(HEIGHT, WIDTH)).convert("1")),
    "RGB JPEG": encoded(pixels(HEIGHT, WIDTH, 3), "JPEG", quality=80),
    "grey JPEG": encoded(pixels(HEIGHT, WIDTH), "JPEG", quality=80),
    "progressive JPEG": encoded(pixels(HEIGHT, WIDTH, 3), "JPEG", progressive=True),
    "CMYK JPEG": encoded(Image.fromarray(pixels(HEIGHT, WIDTH, 3)).convert("CMYK"), "JPEG"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_the_right_size_give_pillows_colours(name):
    result = decoded(FILES[name], RGB)

    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, by_pillow(FILES[name], "RGB"))


@pytest.mark.parametrize("name", ["grey PNG", "bilevel PNG", "grey JPEG"])
def test_grey_files_of_the_right_size_give_pillows_grey(name):
    np.testing.assert_array_equal(decoded(FILES[name], GREY), by_pillow(FILES[name], "L"))


@pytest.mark.parametrize("name", ["RGB PNG", "palette PNG"])
def test_a_coloured_png_becomes_pillows_grey_up_to_rounding(name):
    result = decoded(FILES[name], GREY).astype(int)

    assert np.abs(result - by_pillow(FILES[name], "L")).max() <= 1


def test_a_coloured_jpeg_becomes_its_own_luminance():
    picture = Image.open(io.BytesIO(FILES["RGB JPEG"]))
    picture.draft("L", None)

    np.testing.assert_array_equal(decoded(FILES["RGB JPEG"], GREY)[..., 0], np.asarray(picture))


@pytest.mark.parametrize(("rule", "bands"), [(RGB, 4), (RGB, 2), (GREY, 2)])
def test_alpha_is_dropped_and_not_blended(rule, bands):
    image = pixels(HEIGHT, WIDTH, bands)

    result = decoded(encoded(image), rule)

    colours = image[..., : bands - 1]
    np.testing.assert_array_equal(result, np.broadcast_to(colours, (HEIGHT, WIDTH, rule.channels)))


def test_sixteen_bits_are_cut_to_the_high_byte():
    image = np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH), np.uint16)

    np.testing.assert_array_equal(decoded(encoded(image), GREY)[..., 0], image >> 8)


def test_an_exif_orientation_is_not_applied():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    upright, turned = (
        encoded(pixels(HEIGHT, WIDTH, 3), "JPEG", **options) for options in ({}, {"exif": exif})
    )

    np.testing.assert_array_equal(decoded(turned, RGB), decoded(upright, RGB))


@pytest.mark.parametrize(
    "size", [(48, 62), (100, 50), (37, 53), (50, 20), (9, 7), (1, 1), (1, 40), (40, 1), (24, 32)]
)
@pytest.mark.parametrize("rule", [RGB, GREY])
def test_other_sizes_are_cut_around_the_centre_and_resized_as_pillow_does(size, rule):
    height, width = size
    image = pixels(height, width, 3) if rule.channels == 3 else pixels(height, width)
    cut_height = min(height, max(1, width * HEIGHT // WIDTH))
    cut_width = min(width, max(1, height * WIDTH // HEIGHT))
    top, left = (height - cut_height) // 2, (width - cut_width) // 2
    box = (left, top, left + cut_width, top + cut_height)

    result = decoded(encoded(image), rule)

    cut = Image.fromarray(image).crop(box)
    expected = np.asarray(cut.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
    expected = expected.reshape(result.shape).astype(int)
    assert np.abs(result.astype(int) - expected).max() <= 1


def test_a_wide_image_keeps_its_middle():
    image = np.zeros((10, 30), np.uint8)
    image[:, 10:20] = 200

    result = decoded(encoded(image), DecodeRule(10, 10, 1))

    np.testing.assert_array_equal(result, 200)


OTHER_BYTES = {
    "empty": b"",
    "text": b"this is no image",
    "GIF": encoded(pixels(4, 4, 3), "GIF"),
    "BMP": encoded(pixels(4, 4, 3), "BMP"),
    "TIFF": encoded(pixels(4, 4, 3), "TIFF"),
    "WebP": encoded(pixels(4, 4, 3), "WEBP"),
    "cut PNG signature": FILES["RGB PNG"][:7],
}


@pytest.mark.parametrize("name", OTHER_BYTES)
def test_bytes_that_are_neither_jpeg_nor_png_are_refused(name):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a JPEG or PNG file"):
        decoded(OTHER_BYTES[name], RGB)


@pytest.mark.parametrize("kept", [8, 10, 16, 23])
def test_a_cut_png_header_is_refused(kept):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a whole PNG header"):
        decoded(FILES["RGB PNG"][:kept], RGB)


def test_a_png_whose_size_is_not_where_the_format_puts_it_is_refused():
    whole = FILES["RGB PNG"]
    text = len(b"a\0b").to_bytes(4) + b"tEXta\0b"
    moved = whole[:8] + text + zlib.crc32(text[4:]).to_bytes(4) + whole[8:]

    with pytest.raises(tf.errors.InvalidArgumentError, match="a PNG that starts with IHDR"):
        decoded(moved, RGB)


@pytest.mark.parametrize("name", ["RGB PNG", "RGB JPEG"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused(name, share):
    contents = FILES[name]

    with pytest.raises(tf.errors.InvalidArgumentError, match=r"PNG|JPEG"):
        decoded(contents[: int(len(contents) * share)], RGB)


@pytest.mark.parametrize(
    "contents",
    [
        with_png_size(100_000, 100_000),
        with_png_size(2**32 - 1, 2**32 - 1),
        with_png_size(0, 5),
        with_jpeg_size(65_500, 65_500),
    ],
    ids=["large PNG", "negative PNG", "empty PNG", "large JPEG"],
)
def test_a_size_out_of_bounds_is_refused_before_the_pixels_are_decoded(contents):
    # The pixels do not fit the claimed size either, and decoding them says something else.
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected an image of 1 to 64000000"):
        decoded(contents, RGB)


def test_the_limit_itself_is_allowed():
    contents = encoded(pixels(20, 20, 3))

    decoded(contents, DecodeRule(20, 20, 3, max_pixels=400))
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 to 399 pixels"):
        decoded(contents, DecodeRule(20, 20, 3, max_pixels=399))


def mixed_batch():
    return [*FILES.values(), encoded(pixels(40, 20, 3)), encoded(pixels(5, 90), "JPEG")]


def test_a_batch_gives_what_its_files_give_alone():
    batch = mixed_batch()

    result = decode_images(tf.constant(batch), RGB).numpy()

    np.testing.assert_array_equal(result, np.stack([decoded(one, RGB) for one in batch]))


def test_an_empty_batch_gives_an_empty_batch():
    assert decode_images(tf.constant([], tf.string), RGB).shape == (0, HEIGHT, WIDTH, 3)


def test_decodes_within_a_data_set():
    batch = mixed_batch()
    files = tf.data.Dataset.from_tensor_slices(batch)

    images = files.map(lambda one: decode_image(one, RGB), num_parallel_calls=2).batch(len(batch))

    assert images.element_spec.shape[1:] == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(
        next(iter(images)).numpy(), decode_images(tf.constant(batch), RGB).numpy()
    )


def test_decodes_and_refuses_within_a_saved_model(tmp_path):
    module = tf.Module()
    module.decode = tf.function(
        lambda contents: decode_images(contents, RGB),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))

    batch = tf.constant(mixed_batch())
    np.testing.assert_array_equal(loaded.decode(batch).numpy(), decode_images(batch, RGB).numpy())
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a JPEG or PNG file"):
        loaded.decode(tf.constant([FILES["RGB PNG"], b"text"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a whole PNG header"):
        loaded.decode(tf.constant([FILES["RGB PNG"][:10]]))


def test_the_fingerprint_names_what_changes_the_pixels():
    fingerprints = {
        DecodeRule(*numbers).fingerprint
        for numbers in [(24, 31, 3), (31, 24, 3), (24, 31, 1), (24, 31, 3, 7)]
    }

    assert len(fingerprints) == 3
