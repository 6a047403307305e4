import colorsys
import itertools
import math

import numpy as np
import pytest

from tests.components.transforms.corruptions.spoilt import applied, drawn, pictures
from twofold.components.transforms.corruptions.common_corruptions import CORRUPTIONS, SEVERITIES
from twofold.components.transforms.corruptions.corruption import clipped_zoom, motion_blur
from twofold.components.transforms.corruptions.weather_corruptions import ice_texture, plasma

severities = pytest.mark.parametrize("severity", SEVERITIES)


@severities
def test_snow_whitens_and_adds_a_layer_and_the_layer_upside_down(severity):
    images = pictures(2, 32, 32)
    draws, parameters = drawn(images, "snow", severity)
    location, spread, zoom, threshold, radius, sigma, blend = parameters
    flakes, angles = draws

    result = applied(images, "snow", severity, draws)

    assert flakes.shape == (2, 32, 32, 1)
    for image, flake, angle, ours in zip(images / 255, flakes, angles, result, strict=True):
        layer = clipped_zoom(location + spread * flake[None], zoom)
        layer[layer < threshold] = 0
        layer = motion_blur(np.clip(layer, 0, 1), np.array([angle]), radius, sigma)[0]
        grey = image @ [0.299, 0.587, 0.114]
        white = np.maximum(image, 1.5 * grey[..., None] + 0.5)
        expected = blend * image + (1 - blend) * white + layer + np.rot90(layer, 2)
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_snow_falls_within_45_degrees_of_the_vertical():
    (_, angles), _ = drawn(pictures(1, 8, 8).repeat(300, axis=0), "snow", 1)

    assert -135 <= angles.min() < -132
    assert -48 < angles.max() <= -45


@pytest.mark.parametrize(("height", "width"), [(96, 96), (16, 16), (40, 64)])
def test_the_grid_of_flakes_has_32_cells_whatever_the_size(height, width):
    (flakes, _), _ = drawn(pictures(1, height, width), "snow", 1)

    assert flakes.shape[1:3] == (32, math.ceil(32 * width / height))


def plasma_in_plain_loops(displacements, side, decay):
    """Each point of each step by itself: first the middles of squares, then those of diamonds."""
    heights, numbers = {(0, 0): 0.0}, iter(displacements)
    step, size = side, 1.0
    while step >= 2:
        half = step // 2
        corners = list(itertools.product(range(0, side, step), repeat=2))
        around = ((0, 0), (0, step), (step, 0), (step, step))
        for row, column in corners:
            mean = sum(heights[(row + a) % side, (column + b) % side] for a, b in around) / 4
            heights[row + half, column + half] = mean + size * next(numbers)
        middles = [(row, column + half) for row, column in corners]
        middles += [(row + half, column) for row, column in corners]
        around = ((half, 0), (-half, 0), (0, half), (0, -half))
        for row, column in middles:
            mean = sum(heights[(row + a) % side, (column + b) % side] for a, b in around) / 4
            heights[row, column] = mean + size * next(numbers)
        step, size = half, size / decay**2
    result = np.array([[heights[row, column] for column in range(side)] for row in range(side)])
    return (result - result.min()) / (result.max() - result.min())


@pytest.mark.parametrize(("side", "decay"), [(2, 3), (4, 2), (32, 1.75)])
def test_plasma_is_diamonds_and_squares_on_a_torus(side, decay):
    displacements = np.random.default_rng(0).uniform(-1, 1, (2, side**2 - 1)).astype(np.float32)

    result = plasma(displacements, side, decay)

    for ours, numbers in zip(result, displacements, strict=True):
        np.testing.assert_allclose(ours, plasma_in_plain_loops(numbers, side, decay), atol=2e-5)


def test_a_plasma_worked_by_hand():
    # From 0 in the corner: the middle 0 + 1, then (1 + 1 + 0 + 0) / 4 - .5 and + .5.
    ours = plasma(np.array([[1, -0.5, 0.5]], np.float32), 2, 3)[0]

    np.testing.assert_allclose(ours, [[0, 0], [1, 1]])


def test_no_displacement_is_no_plasma():
    assert not plasma(np.zeros((1, 63), np.float32), 8, 2).any()


@severities
def test_fog_adds_plasma_and_takes_the_brightness_back(severity):
    images = pictures(2, 32, 32)
    images[0] //= 3
    draws, (thickness, decay) = drawn(images, "fog", severity)

    result = applied(images, "fog", severity, draws)

    assert draws[0].shape == (2, 32 * 32 - 1)
    for image, numbers, ours in zip(images / 255, draws[0], result, strict=True):
        clouds = plasma_in_plain_loops(numbers, 32, decay)
        most = image.max()
        expected = (image + thickness * clouds[..., None]) * most / (most + thickness)
        np.testing.assert_allclose(ours, expected, atol=3e-5)


def test_a_black_image_stays_black_in_fog():
    images = np.zeros((1, 8, 8, 1), np.uint8)
    draws, _ = drawn(images, "fog", 5)

    assert not applied(images, "fog", 5, draws).any()


@severities
def test_brightness_adds_to_the_value_of_hsv(severity):
    images = pictures(1, 8, 16)
    images[0, 0, 0] = 0
    added = CORRUPTIONS["brightness"].parameters[severity - 1]

    result = applied(images, "brightness", severity, ())[0]

    for row, column in np.ndindex(8, 16):
        hue, saturation, value = colorsys.rgb_to_hsv(*(images[0, row, column] / 255).tolist())
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
        np.testing.assert_allclose(result[row, column], expected, atol=1e-6)


def test_grey_images_are_as_bright_as_grey_pixels_of_colour_images():
    grey = pictures(2, 16, 16, 1)

    for severity in SEVERITIES:
        colour = applied(grey.repeat(3, axis=-1), "brightness", severity, ())
        np.testing.assert_array_equal(applied(grey, "brightness", severity, ()), colour[..., :1])


@severities
def test_frost_is_a_sum_of_image_and_ice(severity):
    images = pictures(2, 32, 32)
    draws, (keep, cover) = drawn(images, "frost", severity)
    displacements, leaves = draws
    thickness = ice_texture(displacements, leaves, 32, 32)[..., None]

    ice = (1 - thickness) * [38, 58, 88] + thickness * [240, 248, 255]
    expected = np.clip(keep * images + cover * ice, 0, 255) / 255

    result = np.clip(applied(images, "frost", severity, draws), 0, 1)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 96), (24, 60)])
def test_ice_has_thin_and_thick_places_at_any_size(height, width):
    images = np.zeros((24, height, width, 1), np.uint8)
    (displacements, leaves), _ = drawn(images, "frost", 1)

    ice = ice_texture(displacements, leaves, height, width)

    assert ice.shape == (24, height, width)
    assert ice.min() >= 0
    assert ice.max() <= 1
    assert 0.3 < ice.mean() < 0.45
    assert 0.15 < ice.std() < 0.3
    between = np.corrcoef(ice.reshape(24, -1)) - np.eye(24)
    assert np.abs(between).mean() < 0.25, "each image has ice of its own"


def test_a_leaf_of_ice_has_a_rib_and_ends_in_a_point():
    # One leaf from the left edge's middle to the right, 22 of 32 long; the film is even.
    leaves = np.array([[[0.2 / 1.4, 0.7 / 1.4, 0.0, 0.5, 1.0, 0.0]]], np.float32)

    ice = ice_texture(np.zeros((1, 64 * 64 - 1), np.float32), leaves, 64, 64)[0]

    rib = ice[31:33].mean(axis=0)
    assert (rib[8:36] > 0.5).all()
    np.testing.assert_allclose(ice[:, 48:], 0.05, atol=0.01)
    np.testing.assert_allclose(ice, ice[::-1], atol=1e-5)
    broad = (ice > 0.1).sum(axis=0)
    assert broad[4] < broad[10]
    assert broad[10] > broad[30] > broad[40]
