import io
import zipfile

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance

from tests.components.data.drawn_hashes import drawn_hashes
from twofold.components.data.rules import near_hashes
from twofold.components.data.rules.duplicates import (
    DETAIL_BITS,
    NEAR_BITS,
    detail_hashes,
    find_duplicates,
    hamming,
    perceptual_hashes,
    pixel_digest,
    thumbnails,
)
from twofold.components.errors import DataError


def picture(seed, size=(64, 80)):
    """An image with detail at every scale, as photographs have."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((*size, 3))
    for side, strength in ((3, 90), (7, 60), (15, 40), (40, 20)):
        patch = rng.normal(size=(side, side, 3)) * 32 + 128
        scaled = Image.fromarray(np.clip(patch, 0, 255).astype(np.uint8))
        scaled = scaled.resize(size[::-1], Image.Resampling.BICUBIC)
        pixels += (np.asarray(scaled, float) - 128) * strength / 40
    return np.clip(pixels + 128, 0, 255).astype(np.uint8)


PICTURES = [picture(seed) for seed in range(40)]


def test_hamming_counts_the_bits_that_differ():
    a = np.array([0, 1, 0b1011, 2**64 - 1], np.uint64)
    b = np.array([0, 0, 0b0110, 0], np.uint64)
    np.testing.assert_array_equal(hamming(a, b), [0, 1, 3, 64])
    assert hamming(a[:, None], b[None]).shape == (4, 4)


def test_a_digest_tells_pixels_and_shapes_apart_and_nothing_else():
    pixels = PICTURES[0]
    assert len(pixel_digest(pixels)) == 16
    assert pixel_digest(pixels) == pixel_digest(np.asfortranarray(pixels))
    changed = pixels.copy()
    changed[3, 4, 1] ^= 1
    others = [changed, pixels[:-1], pixels.reshape(80, 64, 3), pixels[..., :1]]
    assert len({pixel_digest(other) for other in [pixels, *others]}) == 5


def test_thumbnails_are_pillows():
    images = [PICTURES[0], PICTURES[1][..., :1], np.full((4, 5, 3), 9, np.uint8)]
    small = thumbnails(images)
    assert (small.shape, small.dtype) == ((3, 32, 32, 1), np.dtype(np.uint8))
    grey = Image.fromarray(PICTURES[0]).convert("L")
    expected = grey.resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small[0, ..., 0], expected)
    assert (small[2] == 9).all()
    assert thumbnails(small) is small


def bits_of(hashes):
    return np.unpackbits(hashes.astype(">u8")[:, None].view(np.uint8), axis=1)


def test_hashes_are_frequencies_above_their_median():
    small = thumbnails(PICTURES)
    transform = scipy.fft.dctn(small[..., 0].astype(float), axes=(1, 2))
    low = transform[:, 1:9, 1:9].reshape(40, 64)
    expected = low > np.median(low, axis=1, keepdims=True)
    np.testing.assert_array_equal(bits_of(perceptual_hashes(PICTURES)), expected)
    assert (hamming(perceptual_hashes(small), np.zeros(1, np.uint64)) == 32).all()

    # The next ones: 9 down or across and beyond, by growing sum and then by rows.
    order = sorted(
        (down + across, down, across)
        for down in range(1, 17)
        for across in range(1, 17)
        if max(down, across) > 8
    )[:64]
    high = np.stack([transform[:, down, across] for _, down, across in order], axis=1)
    expected = high > np.median(high, axis=1, keepdims=True)
    np.testing.assert_array_equal(bits_of(detail_hashes(PICTURES)), expected)


def test_an_image_is_hashed_alike_alone_and_among_others():
    many = np.concatenate([thumbnails(PICTURES)] * 30)
    for hashes in (perceptual_hashes, detail_hashes):
        together = hashes(many)
        np.testing.assert_array_equal(together, np.tile(hashes(PICTURES), 30))
        np.testing.assert_array_equal(together[:3], [hashes([image])[0] for image in PICTURES[:3]])
        assert hashes([]).shape == (0,)


def edited(image):
    """Name -> what is often done to a photograph between two places that it is found in."""
    height, width, _ = image.shape
    source = Image.fromarray(image)

    def jpeg(quality):
        file = io.BytesIO()
        source.save(file, "JPEG", quality=quality)
        return Image.open(file)

    made = {
        "encoded again": jpeg(40),
        "smaller": source.resize((width // 2, height // 2), Image.Resampling.BICUBIC),
        "larger": source.resize((2 * width, 3 * height), Image.Resampling.LANCZOS),
        "brighter": ImageEnhance.Brightness(source).enhance(1.1),
        "paler": ImageEnhance.Contrast(source).enhance(0.7),
        "cut": source.crop((1, 0, width, height)),
    }
    made = {name: np.asarray(picture) for name, picture in made.items()}
    return made | {"grey": np.asarray(source.convert("L"))[..., None]}


@pytest.mark.parametrize("name", edited(PICTURES[0]))
def test_edited_copies_are_near_and_other_images_are_not(name):
    images = PICTURES + [edited(image)[name] for image in PICTURES]
    found = duplicates_of(images)
    same = found.near[40:] == np.arange(40)
    assert same.mean() > 0.9
    np.testing.assert_array_equal(found.near[:40], np.arange(40))
    np.testing.assert_array_equal(found.near[40:][~same], np.arange(40, 80)[~same])


def duplicates_of(images, held_out=None, bits=NEAR_BITS):
    digests = np.frombuffer(b"".join(map(pixel_digest, images)), np.uint64).reshape(-1, 2)
    hashes = perceptual_hashes(images)
    held_out = np.zeros(len(images), bool) if held_out is None else np.array(held_out)
    return find_duplicates(
        digests, hashes, held_out, hashes != 0, bits=bits, details=detail_hashes(images)
    )


def spot(shape, row, column, size):
    """A white thing on black, of a shape's outline."""
    down, across = np.mgrid[:64, :64]
    down, across = np.abs(down - row), np.abs(across - column)
    inside = {"square": np.maximum(down, across), "diamond": down + across}[shape] <= size
    return np.where(inside, 255, 0).astype(np.uint8)[..., None]


def test_flat_images_and_small_things_on_a_flat_ground_have_no_hash():
    flat = [np.full((40, 50, 3), grey, np.uint8) for grey in (0, 77, 255)]
    ramp = [np.repeat(np.array([[100], [101]], np.uint8), 32, axis=1)[..., None]]
    spots = [spot(shape, 20, 40, size) for shape in ("square", "diamond") for size in (3, 6)]
    images = flat + ramp + spots
    assert not perceptual_hashes(images).any()
    np.testing.assert_array_equal(duplicates_of(images).near, np.arange(len(images)))
    # A twelfth of the image is not enough, a fifth is.
    assert perceptual_hashes([spot("square", 30, 30, 9)])[0] == 0
    assert perceptual_hashes([spot("square", 30, 30, 14)])[0] != 0


def test_hand_worked():
    # Rows 0 and 3 are the same; 1 is 1 bit from 0 and 2 is 2 bits from 1; 4 is far from all; 5 has
    # the hash of 1, but it says nothing; 6 has the hash of 4, but other details.
    digests = np.array([[7, 1], [8, 1], [9, 1], [7, 1], [7, 2], [1, 1], [2, 2]], np.uint64)
    hashes = np.array([0b0001, 0b0011, 0b1111, 0b0001, 255 << 40, 0b0011, 255 << 40], np.uint64)
    details = np.array([0, 0, 0, 0, 0, 0, 2**64 - 1], np.uint64)
    held_out = np.array([True, False, False, False, False, False, True])
    comparable = np.arange(7) != 5
    for bits, near, leaked in (
        (None, [0, 1, 2, 0, 4, 5, 6], [3]),
        (0, [0, 1, 2, 0, 4, 5, 6], [3]),
        (1, [0, 0, 2, 0, 4, 5, 6], [1, 3]),
        # Row 2 is chained to row 0 by row 1, but is not itself near it.
        (2, [0, 0, 0, 0, 4, 5, 6], [1, 3]),
        (3, [0, 0, 0, 0, 4, 5, 6], [1, 2, 3]),
    ):
        found = find_duplicates(digests, hashes, held_out, comparable, bits=bits, details=details)
        np.testing.assert_array_equal(found.exact, [0, 1, 2, 0, 4, 5, 6])
        np.testing.assert_array_equal(found.near, near)
        np.testing.assert_array_equal(np.flatnonzero(found.leaked), leaked)
        assert found.exact.dtype == found.near.dtype == np.int64
    # Without details, the hash alone counts.
    found = find_duplicates(digests, hashes, held_out, comparable, bits=0)
    np.testing.assert_array_equal(found.near, [0, 1, 2, 0, 4, 5, 4])
    np.testing.assert_array_equal(np.flatnonzero(found.leaked), [3, 4])


def brute_force(digests, hashes, held_out, comparable, bits, details):
    """What `find_duplicates` is to give, by comparing all pairs."""
    exact_pairs = (digests[:, None] == digests[None]).all(axis=-1)
    pairs = exact_pairs.copy()
    if bits is not None:
        close = hamming(hashes[:, None], hashes[None]) <= bits
        if details is not None:
            close &= hamming(details[:, None], details[None]) <= DETAIL_BITS
        pairs |= close & comparable[:, None] & comparable[None]
    reached = pairs.copy()
    for _ in range(len(pairs)):
        reached = reached @ pairs
    leaked = ~held_out & (pairs & held_out[None]).any(axis=1)
    exact, near = (
        np.array([row.argmax() for row in linked], np.int64) for linked in (exact_pairs, reached)
    )
    return exact, near, leaked


@st.composite
def rows(draw):
    hashes, details = draw(drawn_hashes(24))
    count = len(hashes)
    digests = draw(arrays(np.uint64, (count, 2), elements=st.integers(0, 2)))
    flags = arrays(np.bool_, count)
    return digests, hashes, draw(flags), draw(flags), details if draw(st.booleans()) else None


@settings(max_examples=400)
@given(rows(), st.sampled_from([None, 0, 1, 2, 3, 4, 6, 12]), st.booleans())
def test_duplicates_are_those_of_all_pairs(data, bits, in_small_pieces):
    digests, hashes, held_out, comparable, details = data
    with pytest.MonkeyPatch.context() as patch:
        if in_small_pieces:
            patch.setattr(near_hashes, "_COMPARED_AT_ONCE", 3)
            patch.setattr(near_hashes, "_FOUND_AT_ONCE", 2)
            # As if sorting cost nothing: by as many bands as there are ways.
            patch.setattr(near_hashes, "_SORTED", 0.0)
            patch.setattr(near_hashes, "_MOST_MASKS", 100)
        found = find_duplicates(digests, hashes, held_out, comparable, bits=bits, details=details)
    exact, near, leaked = brute_force(digests, hashes, held_out, comparable, bits, details)
    np.testing.assert_array_equal(found.exact, exact)
    np.testing.assert_array_equal(found.near, near)
    np.testing.assert_array_equal(found.leaked, leaked)


@given(rows(), st.integers(0, 6), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(data, bits, random):
    *columns, details = data
    order = np.array(random.sample(range(len(columns[0])), len(columns[0])), np.int64)
    first = find_duplicates(*columns, bits=bits, details=details)
    second = find_duplicates(
        *(column[order] for column in columns),
        bits=bits,
        details=None if details is None else details[order],
    )
    np.testing.assert_array_equal(second.leaked, first.leaked[order])
    for a, b in ((first.exact, second.exact), (first.near, second.near)):
        together = a[order][:, None] == a[order][None]
        np.testing.assert_array_equal(b[:, None] == b[None], together)


def test_planted_pairs_are_found_among_many():
    rng = np.random.default_rng(0)
    count = 30_000
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    pairs = rng.permutation(count)[:2000].reshape(2, 1000)
    hashes[pairs[1]] = hashes[pairs[0]]
    for _ in range(3):
        hashes[pairs[1]] ^= np.uint64(1) << rng.integers(0, 64, 1000, dtype=np.uint64)
    digests = np.stack([np.arange(count, dtype=np.uint64)] * 2, axis=1)
    held_out = np.zeros(count, bool)
    held_out[pairs[0, :500]] = True
    found = find_duplicates(digests, hashes, held_out, hashes != 0, bits=3)
    expected = np.arange(count)
    expected[pairs.max(axis=0)] = pairs.min(axis=0)
    np.testing.assert_array_equal(found.near, expected)
    np.testing.assert_array_equal(np.flatnonzero(found.leaked), np.sort(pairs[1, :500]))
    np.testing.assert_array_equal(found.exact, np.arange(count))


def test_hashes_that_share_a_band_are_all_compared():
    # Of three bands all but the lowest are equal, and 2**13 hashes chain together by single bits.
    hashes = np.arange(2**13, dtype=np.uint64)
    digests = np.stack([hashes, hashes], axis=1)
    held_out = hashes == 2**13 - 1
    found = find_duplicates(digests, hashes, held_out, np.ones(2**13, bool), bits=2)
    assert not found.near.any()
    np.testing.assert_array_equal(found.leaked, (hamming(hashes, hashes[-1:]) <= 2) & ~held_out)


@pytest.mark.parametrize("bits", [-1, 13])
def test_bits_out_of_range_are_refused(bits):
    nothing = np.empty(0, np.uint64)
    with pytest.raises(DataError, match=f"bits: expected None or 0 to 12, received {bits}"):
        find_duplicates(nothing.reshape(0, 2), nothing, nothing > 0, nothing > 0, bits=bits)


def test_of_a_thousand_photographs_three_are_near_copies(shared_file):
    with zipfile.ZipFile(shared_file("cifar10-jpeg/test.zip")) as archive:
        names = sorted(name for name in archive.namelist() if "automobile/" in name)
        images = [np.asarray(Image.open(archive.open(name))) for name in names]
    found = duplicates_of(images)
    np.testing.assert_array_equal(found.exact, np.arange(1000))
    copies = np.flatnonzero(found.near != np.arange(1000))
    # Looked at: each pair shows one car.
    assert [(names[found.near[row]][-8:], names[row][-8:]) for row in copies] == [
        ("0363.jpg", "0472.jpg"),
        ("0231.jpg", "0547.jpg"),
        ("0293.jpg", "0598.jpg"),
    ]


def test_generated_shapes_are_not_taken_for_one_another(shared_file):
    images = np.load(shared_file("dsprites/dsprites_subset.npz"))["imgs"][:3000, ..., None] * 255
    found = duplicates_of(list(images))
    np.testing.assert_array_equal(found.near, found.exact)
