import math

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage, stats

from twofold.components.transforms.blur import (
    BlurRanges,
    gaussian_blur,
    gaussian_kernels,
    sample_blur,
)


def test_a_kernel_is_the_gaussian_at_whole_pixels_with_sum_one():
    kernels = gaussian_kernels(tf.constant([0.5, 2.0]), 5).numpy()

    for sigma, kernel in zip((0.5, 2.0), kernels, strict=True):
        heights = [math.exp(-(place**2) / (2 * sigma**2)) for place in (-2, -1, 0, 1, 2)]
        np.testing.assert_allclose(kernel, np.array(heights) / sum(heights), rtol=1e-5)


def test_a_sigma_of_zero_is_the_identity(execute, images):
    batch = tf.constant(images(2, 5, 6, 3))

    result = execute(lambda batch: gaussian_blur(batch, tf.zeros([2]), 5))(batch)

    np.testing.assert_array_equal(result.numpy(), batch.numpy())


@pytest.mark.parametrize("size", [1, 3, 4, 7])
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_scipys_filter_with_a_reflected_border(execute, images, size, channels):
    batch = images(3, 8, 11, channels)
    sigma = np.array([0.3, 1.0, 5.0], np.float32)
    kernels = gaussian_kernels(tf.constant(sigma), size).numpy()

    result = execute(lambda batch, sigma: gaussian_blur(batch, sigma, size))(batch, sigma).numpy()

    for image, kernel, blurred in zip(batch, kernels, result, strict=True):
        expected = image
        for axis in (0, 1):
            # An even kernel has its centre left of the middle, SciPy's right of it.
            expected = ndimage.correlate1d(
                expected, kernel, axis, mode="mirror", origin=-1 if size % 2 == 0 else 0
            )
        np.testing.assert_allclose(blurred, expected, atol=1e-6)


def test_a_constant_image_stays_constant():
    grey = tf.fill([1, 6, 6, 1], 0.7)

    np.testing.assert_allclose(gaussian_blur(grey, tf.constant([2.0]), 5), grey, rtol=1e-6)


@pytest.mark.parametrize("size", [0, -3])
def test_a_kernel_without_taps_is_refused(size):
    with pytest.raises(ValueError, match=f"at least 1, received {size}"):
        gaussian_kernels(tf.constant([1.0]), size)


def test_a_kernel_whose_reflection_does_not_fit_is_refused(images):
    with pytest.raises(ValueError, match="shorter side, 3, received 7"):
        gaussian_blur(tf.constant(images(1, 3, 9, 1)), tf.constant([1.0]), 7)


def test_sigmas_fill_their_range_evenly(keys):
    drawn = sample_blur(keys(20_000), BlurRanges((0.1, 2.0))).numpy()

    assert drawn.min() >= 0.1
    assert drawn.max() <= 2.0
    assert stats.kstest((drawn - 0.1) / 1.9, "uniform").pvalue > 1e-3


def test_a_reversed_range_is_refused():
    with pytest.raises(ValueError, match="sigma must be two numbers in ascending order"):
        BlurRanges((2.0, 0.1))
