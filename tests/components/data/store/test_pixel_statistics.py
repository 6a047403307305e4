import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from twofold.components.data.store.pixel_statistics import PixelTotals, pixel_sums


def totals_of(images):
    totals = PixelTotals()
    for image in images:
        sums, squares = pixel_sums(image[None])
        totals.add(image.shape[0] * image.shape[1], sums[0].tolist(), squares[0].tolist())
    return totals


def image(seed, channels, size=(5, 4)):
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)


@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])),
    )
)
def test_sums_are_those_of_whole_numbers(pixels):
    sums, squares = pixel_sums(pixels)
    values = pixels.astype(np.int64)
    np.testing.assert_array_equal(sums, values.sum((1, 2)))
    np.testing.assert_array_equal(squares, (values**2).sum((1, 2)))
    assert sums.dtype == squares.dtype == np.uint64


def test_large_white_images_do_not_overflow():
    sums, squares = pixel_sums(np.full((1, 300, 300, 1), 255, np.uint8))
    assert (int(sums[0, 0]), int(squares[0, 0])) == (90_000 * 255, 90_000 * 255**2)


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_deviation_are_those_of_all_pixels(channels):
    images = [image(seed, channels, size=(3 + seed, 7)) for seed in range(6)]
    totals = totals_of(images)
    pixels = np.concatenate([each.reshape(-1, channels) for each in images]) / 255
    mean, std = totals.mean_and_deviation(channels)
    assert totals.channels == channels
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-12)


def test_a_greyscale_image_counts_in_every_channel():
    grey, colour = image(0, 1), image(1, 3)
    mean, _ = totals_of([grey, colour]).mean_and_deviation(3)
    pixels = np.concatenate([np.repeat(grey, 3, -1).reshape(-1, 3), colour.reshape(-1, 3)]) / 255
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-12)


def test_merging_gives_the_same_in_any_order():
    images = [image(seed, 1 if seed % 2 else 3) for seed in range(8)]
    whole = totals_of(images)
    parts = [totals_of(images[:3]), totals_of(images[3:5]), totals_of(images[5:])]
    for order in ((0, 1, 2), (2, 0, 1)):
        merged = PixelTotals().merge(parts[i] for i in order)
        assert merged == whole
        assert merged.mean_and_deviation(3) == whole.mean_and_deviation(3)


def test_totals_survive_json():
    totals = totals_of([image(0, 1), image(1, 3)])
    assert PixelTotals.from_json(json.loads(json.dumps(totals.to_json()))) == totals


def test_half_black_half_white_has_mean_and_deviation_one_half():
    halves = np.array([[[0], [255]]], np.uint8)
    assert totals_of([halves]).mean_and_deviation(1) == ([0.5], [0.5])
