import numpy as np
import pytest

from twofold.components.evaluation.probes.pixel_baseline import pixel_features, pixel_width


def drawn(height, width, channels=3):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, channels), np.uint8)


def test_small_images_are_their_pixels():
    images = drawn(32, 20)
    features = pixel_features(images)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, images.reshape(2, -1) / 255, rtol=1e-6)


@pytest.mark.parametrize(("height", "width", "factor"), [(64, 64, 2), (96, 33, 3), (70, 35, 3)])
def test_large_ones_are_means_of_blocks(height, width, factor):
    images = drawn(height, width)
    expected = [
        (image[top : top + factor, left : left + factor] / 255).mean(axis=(0, 1))
        for image in images
        for top in range(0, height, factor)
        for left in range(0, width, factor)
    ]
    features = pixel_features(images)
    assert features.shape == (2, pixel_width((height, width, 3)))
    np.testing.assert_allclose(features.ravel(), np.ravel(expected), rtol=1e-5)
