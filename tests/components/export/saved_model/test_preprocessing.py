"""The pixels in the graph are those that training and evaluation saw, whatever was prepared.

What preparation accepts is stored byte for byte, and the graph decodes it to the pixels that
preparation saw. What preparation repairs (CMYK, 16 bits, pictures turned by EXIF) is stored as the
repaired pixels, and the graph gives these; sent as it was before, such a file is answered by what
TensorFlow's decoder makes of it, which is said below. What preparation converts from other formats
is refused by the graph as long as it isn't converted.
"""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image

from twofold.components.data.rules.image_rules import check
from twofold.components.evaluation.embedding import build_embedding
from twofold.components.export.saved_model.module import save_encoder
from twofold.components.transforms.decode import DecodeRule, decode_pixels, fit_pixels

RULE = DecodeRule(24, 31, 3)


def pixels(*shape, seed=0):
    random = np.random.default_rng(seed)
    slope = np.linspace(0, 155, shape[0] * shape[1]).reshape(shape[:2] + (1,) * (len(shape) - 2))
    return (slope + random.integers(0, 100, shape)).astype(np.uint8)


def encoded(picture, form="PNG", **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(pixels(40, 30, 3), "JPEG", exif=exif)


SIZES = [(24, 31), (25, 33), (7, 61), (61, 7), (97, 101), (5, 5), (23, 30)]
ACCEPTED = {
    **{f"PNG of {h}x{w}": encoded(pixels(h, w, 3)) for h, w in SIZES},
    **{f"JPEG of {h}x{w}": encoded(pixels(h, w, 3), "JPEG", quality=80) for h, w in SIZES},
    "progressive": encoded(pixels(50, 41, 3), "JPEG", progressive=True),
    "grey PNG": encoded(pixels(37, 29)),
    "grey JPEG": encoded(pixels(37, 29), "JPEG"),
    "bilevel": encoded(Image.fromarray(pixels(37, 29)).convert("1")),
    "palette": encoded(Image.fromarray(pixels(37, 29, 3)).quantize(32)),
    "alpha": encoded(pixels(37, 29, 4)),
    "grey with alpha": encoded(pixels(37, 29, 2)),
}
REPAIRED = {
    "CMYK": encoded(Image.fromarray(pixels(37, 29, 3)).convert("CMYK"), "JPEG"),
    "16 bits": encoded(np.random.default_rng(0).integers(0, 2**16, (37, 29), np.uint16)),
    **{f"turned by {number}": turned(number) for number in range(2, 9)},
}
# What is stored of each once it is prepared.
STORED = {name: check(file).payload for name, file in (ACCEPTED | REPAIRED).items()}


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Gives what the graph of a saved model makes of files: the pixels, as its embedding."""
    directory = tmp_path_factory.mktemp("model") / "1"
    # An encoder that hides nothing: it gives its input.
    inputs = keras.Input((RULE.height, RULE.width, RULE.channels))
    encoder = keras.Model(inputs, keras.layers.Flatten()(inputs))
    save_encoder(directory, encoder, RULE)
    loaded = tf.saved_model.load(str(directory))

    def call(files):
        answer = loaded.signatures["embed_bytes"](image_bytes=tf.constant(files))["embedding"]
        return answer.numpy().reshape(-1, RULE.height, RULE.width, RULE.channels)

    return call


def seen_by_an_encoder(image):
    """What an encoder of the evaluation gets of uint8 [H, W, C]."""
    return build_embedding(keras.layers.Identity(), image.shape)(image.numpy()[None])[0]


def as_evaluation(file):
    """The pixels that a measure sees of a stored file, as ``prepared_images`` reads it."""
    return seen_by_an_encoder(fit_pixels(decode_pixels(tf.constant(file), RULE), RULE))


def as_prepared(file):
    """The pixels that preparation saw, brought to the encoder's size."""
    seen = check(file).pixels
    image = tf.constant(np.broadcast_to(seen, (*seen.shape[:2], 3)))
    return seen_by_an_encoder(fit_pixels(image, RULE))


def test_stored_files_give_the_very_pixels_of_the_evaluation(ask):
    answers = ask(list(STORED.values()))

    for name, answer in zip(STORED, answers, strict=True):
        np.testing.assert_array_equal(answer, as_evaluation(STORED[name]), err_msg=name)


def test_stored_files_give_the_very_pixels_that_preparation_saw(ask):
    answers = ask(list(STORED.values()))

    for (name, file), answer in zip((ACCEPTED | REPAIRED).items(), answers, strict=True):
        np.testing.assert_array_equal(answer, as_prepared(file), err_msg=name)


def test_what_is_accepted_is_the_same_before_and_after_preparation(ask):
    assert all(STORED[name] == file for name, file in ACCEPTED.items())
    assert all(STORED[name] != file for name, file in REPAIRED.items())


def test_an_unprepared_cmyk_or_16_bit_file_gives_the_prepared_pixels(ask):
    names = ["CMYK", "16 bits"]

    before, after = (ask([files[name] for name in names]) for files in (REPAIRED, STORED))

    np.testing.assert_array_equal(before, after)


def test_an_unprepared_picture_is_not_turned_by_the_graph(ask):
    upright = ask([encoded(pixels(40, 30, 3), "JPEG")])[0]

    for number in range(2, 9):
        before, after = ask([REPAIRED[f"turned by {number}"], STORED[f"turned by {number}"]])
        np.testing.assert_array_equal(before, upright)
        assert np.abs(after - upright).mean() > 0.05


@pytest.mark.parametrize(
    ("form", "begin"),
    [("GIF", "GIF8"), ("BMP", "BM"), ("WEBP", "WEBP"), ("TIFF", "II"), ("AVIF", "ftypavif")],
)
def test_formats_that_preparation_converts_are_refused_in_the_graph_by_name(form, begin, ask):
    file = encoded(pixels(24, 31, 3), form)
    stored = check(file)

    assert stored.repair == f"converted from {form}"
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"expected a JPEG or PNG .*{begin}"):
        ask([ACCEPTED["palette"], file])
    np.testing.assert_array_equal(ask([stored.payload])[0], as_evaluation(stored.payload))
    np.testing.assert_array_equal(ask([stored.payload])[0], as_prepared(file))


def test_a_file_of_too_many_pixels_is_refused_before_it_is_decoded(ask):
    whole = encoded(pixels(4, 4, 3))
    # It claims 10^10 pixels; what follows are those of 16.
    claims = whole[:16] + (100_000).to_bytes(4) * 2 + whole[24:]

    with pytest.raises(tf.errors.InvalidArgumentError, match="expected an image of 1 to 64000000"):
        ask([claims])
