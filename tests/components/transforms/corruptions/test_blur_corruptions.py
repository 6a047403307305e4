import itertools
import math

import numpy as np
import pytest
from scipy import ndimage

from tests.components.transforms.corruptions.spoilt import applied, drawn, pictures
from twofold.components.transforms.corruptions.blur_corruptions import disk_kernel
from twofold.components.transforms.corruptions.common_corruptions import CORRUPTIONS, SEVERITIES
from twofold.components.transforms.corruptions.corruption import (
    bilinear,
    clipped_zoom,
    mirrored,
    motion_blur,
)
from twofold.components.transforms.corruptions.corruption import reflected as folded_at_edges

severities = pytest.mark.parametrize("severity", SEVERITIES)


def blurred_in_plain_loops(image, kernel, at_border):
    """Correlates each channel with a kernel; ``at_border`` maps an index into the image."""
    reach = len(kernel) // 2
    height, width, _ = image.shape
    result = np.zeros(image.shape)
    for row, column in np.ndindex(height, width):
        for down, right in np.ndindex(kernel.shape):
            source = (
                at_border(row + down - reach, height),
                at_border(column + right - reach, width),
            )
            result[row, column] += kernel[down, right] * image[source]
    return result


def nearest(index, side):
    return min(max(index, 0), side - 1)


def mirror(index, side):
    return side - 1 - abs(side - 1 - abs(index))


def gaussian_taps(sigma, reach):
    taps = np.array([math.exp(-((i / sigma) ** 2) / 2) for i in range(-reach, reach + 1)])
    return taps / taps.sum()


@severities
def test_gaussian_blur_is_a_gaussian_of_four_sigmas_with_the_edge_going_on(severity):
    images = pictures(1, 32, 32)
    _, sigma = drawn(images, "gaussian_blur", severity)
    taps = gaussian_taps(sigma, int(4 * sigma + 0.5))

    expected = blurred_in_plain_loops(images[0] / 255, np.outer(taps, taps), nearest)

    np.testing.assert_allclose(
        applied(images, "gaussian_blur", severity, ())[0], expected, atol=1e-6
    )


def disk_in_plain_loops(radius, alias_sigma):
    grid = np.zeros((17, 17))
    for down, right in itertools.product(range(-8, 9), repeat=2):
        grid[8 + down, 8 + right] = float(down**2 + right**2 <= radius**2)
    grid /= grid.sum()
    smooth = np.zeros((17, 17))
    taps = gaussian_taps(alias_sigma, 1)
    for row, column in np.ndindex(17, 17):
        for down, right in itertools.product((-1, 0, 1), repeat=2):
            if 0 <= row + down < 17 and 0 <= column + right < 17:
                weight = taps[1 + down] * taps[1 + right]
                smooth[row, column] += weight * grid[row + down, column + right]
    return smooth


@severities
def test_the_disk_is_that_of_a_grid_of_17_and_the_blur_goes_by_it(severity):
    images = pictures(1, 32, 32)
    _, parameters = drawn(images, "defocus_blur", severity)
    grid = disk_in_plain_loops(*parameters)

    kernel = disk_kernel(*parameters)
    rest = (17 - len(kernel)) // 2
    expected = blurred_in_plain_loops(images[0] / 255, kernel, mirror)

    np.testing.assert_allclose(np.pad(kernel, rest), grid, atol=1e-12)
    np.testing.assert_allclose(
        applied(images, "defocus_blur", severity, ())[0], expected, atol=1e-6
    )


def test_a_disk_worked_by_hand():
    # Radius 1 holds the centre and its four neighbours; the smoothing is next to nothing.
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5

    np.testing.assert_allclose(disk_kernel(1, 0.01), np.pad(cross, 1), atol=1e-12)
    enlarged = np.pad(np.kron(cross, np.ones((3, 3))) / 9, 3)
    np.testing.assert_allclose(disk_kernel(1, 0.01, scale=3), enlarged, atol=1e-12)


@pytest.mark.parametrize("scale", [0.3, 0.875, 1.25, 3, 7])
def test_an_enlarged_disk_keeps_its_sum_its_middle_and_its_spread(scale):
    def moments(kernel):
        places = np.arange(len(kernel)) - len(kernel) // 2
        return kernel.sum(), (kernel @ places).sum(), (kernel @ places**2).sum()

    _, _, published = moments(disk_kernel(1.5, 0.4))
    total, middle, variance = moments(disk_kernel(1.5, 0.4, scale))

    assert (total, middle) == pytest.approx((1, 0))
    # A pixel's own width adds 1/12 to a variance, and gathering into other pixels up to as much.
    assert variance == pytest.approx(scale**2 * (published + 1 / 12), abs=2 / 12)


def glass_in_plain_loops(image, offsets, sigma, delta):
    """As published: pixel by pixel from the last to the first, each overwritten in place."""
    height, width, _ = image.shape
    blurred = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest")
    for down_right in offsets:
        for row in range(height - delta, delta, -1):
            for column in range(width - delta, delta, -1):
                down, right = down_right[:, row, column]
                blurred[row, column] = blurred[row + down, column + right]
    return ndimage.gaussian_filter(blurred, (sigma, sigma, 0), mode="nearest")


@severities
def test_glass_blur_overwrites_pixels_with_neighbours_between_two_blurs(severity):
    images = pictures(2, 32, 32)
    draws, (sigma, delta, iterations) = drawn(images, "glass_blur", severity)

    assert draws[0].shape == (2, iterations, 2, 32, 32)
    assert set(np.unique(draws[0])) == {-1, 0}
    result = applied(images, "glass_blur", severity, draws)
    for image, offsets, ours in zip(images, draws[0], result, strict=True):
        expected = glass_in_plain_loops(image / 255, offsets, sigma, delta)
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_glass_on_a_larger_image_reaches_further_and_leaves_the_frame():
    images = pictures(1, 96, 128)
    draws, _ = drawn(images, "glass_blur", 1)
    assert set(np.unique(draws[0])) == {-3, -2, -1, 0, 1, 2}

    unit = applied(images, "glass_blur", 1, (np.full_like(draws[0], -3),))[0]

    # Each pixel of the inside has the one three up and left of it, but for the second blur.
    softly = ndimage.gaussian_filter(images[0] / 255, (0.15, 0.15, 0), mode="nearest")
    np.testing.assert_allclose(unit[5:90, 5:120], softly[2:87, 2:117], atol=1e-4)
    np.testing.assert_allclose(unit[:3], softly[:3], atol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 20.0, -44.0, -90.0, -130.0])
@pytest.mark.parametrize(("radius", "sigma"), [(6, 1), (9, 2.5), (3, 4)])
def test_motion_blur_is_half_a_gaussian_along_a_direction(angle, radius, sigma):
    image = pictures(1, 14, 19)[0] / 255
    taps = 2 * radius + 1
    weights = [math.exp(-((i / sigma) ** 2) / 2) for i in range(taps)]
    expected = np.zeros(image.shape)
    for (row, column), i in itertools.product(np.ndindex(image.shape[:2]), range(taps)):
        down = math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        right = math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        source = nearest(row + down, 14), nearest(column + right, 19)
        expected[row, column] += weights[i] / sum(weights) * image[source]

    result = motion_blur(image[None].astype(np.float32), np.array([angle]), radius, sigma)[0]

    np.testing.assert_allclose(result, expected, atol=2e-6)


def test_motion_blur_draws_an_angle_for_each_image_within_45_degrees_of_the_horizon():
    images = pictures(2, 8, 8).repeat(200, axis=0)
    (angles,), _ = drawn(images, "motion_blur", 1)

    assert angles.min() < -43
    assert angles.max() > 43
    assert np.abs(angles).max() <= 45
    dot = np.zeros((2, 33, 33, 1), np.uint8)
    dot[:, 16, 16] = 255
    level, steep = applied(dot, "motion_blur", 3, (np.array([0.0, -45.0]),))
    # A pixel takes what is further along, so that a dot is smeared against the direction.
    assert level[16, :17].sum() == pytest.approx(1, abs=1e-5)
    assert steep[16:, :17].sum() == pytest.approx(1, abs=1e-5)
    assert steep[17, 15] > 0.1


@severities
def test_zoom_blur_is_the_mean_of_the_image_and_its_zooms(severity):
    images = pictures(2, 32, 32)
    most = CORRUPTIONS["zoom_blur"].parameters[severity - 1]
    factors = np.arange(1, most, 0.01)

    expected = images / 255
    for factor in factors:
        expected = expected + zoomed_by_scipy(images / 255, factor)
    expected /= len(factors) + 1

    np.testing.assert_allclose(applied(images, "zoom_blur", severity, ()), expected, atol=2e-6)


def zoomed_by_scipy(images, factor):
    """Crops the middle, enlarges it by `scipy.ndimage.zoom`, and crops again, as published."""
    results = []
    for image in images:
        height, width, _ = image.shape
        rows, columns = math.ceil(height / factor), math.ceil(width / factor)
        top, left = (height - rows) // 2, (width - columns) // 2
        middle = image[top : top + rows, left : left + columns]
        large = ndimage.zoom(middle, (factor, factor, 1), order=1)
        top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
        results.append(large[top : top + height, left : left + width])
    return np.stack(results)


@pytest.mark.parametrize("factor", [1.0, 1.01, 1.26, 1.75, 2.25])
@pytest.mark.parametrize("shape", [(32, 32, 1), (9, 31, 3), (96, 50, 3)])
def test_a_clipped_zoom_is_scipys(factor, shape):
    images = (pictures(2, *shape) / 255).astype(np.float32)

    np.testing.assert_allclose(
        clipped_zoom(images, factor), zoomed_by_scipy(images, factor), atol=2e-6
    )


@pytest.mark.parametrize(("mode", "fold"), [("mirror", mirrored), ("reflect", folded_at_edges)])
def test_reading_between_pixels_is_scipys(mode, fold):
    random = np.random.default_rng(0)
    images = random.random((2, 7, 11, 3), np.float32)
    rows, columns = random.uniform(-9, 19, (2, 2, 5, 6))

    result = bilinear(images, fold(rows, 7), fold(columns, 11))

    for number, channel in np.ndindex(2, 3):
        expected = ndimage.map_coordinates(
            images[number, ..., channel], [rows[number], columns[number]], order=1, mode=mode
        )
        np.testing.assert_allclose(result[number, ..., channel], expected, atol=1e-5)
