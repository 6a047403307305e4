import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tests.components.transforms.corruptions.spoilt import applied, drawn, pictures
from twofold.components.transforms.corruptions.common_corruptions import CORRUPTIONS, SEVERITIES

severities = pytest.mark.parametrize("severity", SEVERITIES)


@severities
@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_draws_values_towards_their_channels_mean(severity, channels):
    images = pictures(2, 12, 17, channels)
    factor = CORRUPTIONS["contrast"].parameters[severity - 1]

    unit = images / 255
    mean = unit.mean(axis=(1, 2), keepdims=True)

    np.testing.assert_allclose(
        applied(images, "contrast", severity, ()), (unit - mean) * factor + mean, atol=1e-6
    )


@severities
def test_saturation_of_hsv_is_multiplied_and_raised(severity):
    images = pictures(1, 8, 16)
    images[0, 0] = np.arange(16)[:, None] * 17
    factor, term = CORRUPTIONS["saturate"].parameters[severity - 1]

    result = applied(images, "saturate", severity, ())[0]

    for row, column in np.ndindex(8, 16):
        hue, saturation, value = colorsys.rgb_to_hsv(*(images[0, row, column] / 255).tolist())
        saturation = min(max(factor * saturation + term, 0), 1)
        expected = colorsys.hsv_to_rgb(hue, saturation, value)
        np.testing.assert_allclose(result[row, column], expected, atol=1e-6)


def test_grey_pixels_take_a_tint_of_red_and_grey_images_stay():
    grey = np.full((1, 8, 8, 1), 100, np.uint8)

    tinted = applied(grey.repeat(3, axis=-1), "saturate", 5, ())[0, 0, 0] * 255

    np.testing.assert_allclose(tinted, [100, 80, 80], atol=1e-4)
    np.testing.assert_allclose(applied(grey, "saturate", 5, ()) * 255, 100, atol=1e-4)


def elastic_by_scipy(image, points, noise, alpha, sigma, affine):
    """The published steps on one image, with SciPy's own reading between pixels."""
    height, width, channels = image.shape
    scale = min(height, width) / 32
    centre = np.array([width // 2, height // 2], float)
    away = min(height, width) // 3
    before = centre + away * np.array([[1, 1], [1, -1], [-1, -1]])
    after = before + affine * scale * points
    # x' = a x + b y + c for three points, and likewise y'; then backwards.
    ones = np.ones((3, 1))
    forwards = np.vstack([np.linalg.solve(np.hstack([before, ones]), after).T, [0, 0, 1]])
    backwards = np.linalg.inv(forwards)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    right, down = (
        backwards[axis] @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1) for axis in (0, 1)
    )

    def read(pixels, rows, columns, mode):
        layers = [
            ndimage.map_coordinates(pixels[..., one], [rows, columns], order=1, mode=mode)
            for one in range(channels)
        ]
        return np.stack(layers, axis=-1).reshape(height, width, channels)

    moved = read(image, down, right, "mirror")
    flow = [
        ndimage.gaussian_filter(scale * one, sigma * scale, mode="reflect", truncate=3.0)
        * (alpha * scale)
        for one in noise
    ]
    return read(moved, (y + flow[1]).ravel(), (x + flow[0]).ravel(), "reflect")


@severities
@pytest.mark.parametrize("shape", [(32, 32, 3), (40, 56, 1)])
def test_an_elastic_image_is_moved_by_three_points_and_by_a_smooth_flow(severity, shape):
    images = pictures(2, *shape)
    (points, noise), parameters = drawn(images, "elastic_transform", severity)

    result = applied(images, "elastic_transform", severity, (points, noise))

    for number, image in enumerate(images / 255):
        expected = elastic_by_scipy(image, points[number], noise[number], *parameters)
        np.testing.assert_allclose(result[number], expected, atol=2e-4)


def test_points_that_move_alike_move_the_image():
    images = pictures(1, 32, 32)
    draws = np.full((1, 3, 2), [0.0, 1 / 2.56]), np.zeros((1, 2, 32, 32))

    result = applied(images, "elastic_transform", 1, draws)

    np.testing.assert_allclose(result[:, 1:], images[:, :-1] / 255, atol=1e-5)
    np.testing.assert_allclose(result[:, 0], images[:, 1] / 255, atol=1e-5)


@pytest.mark.parametrize("severity", [2, 3, 4, 5])
def test_without_movement_nothing_is_distorted(severity):
    images = pictures(1, 32, 48)
    draws = np.zeros((1, 3, 2)), np.zeros((1, 2, 32, 48))

    result = applied(images, "elastic_transform", severity, draws)

    np.testing.assert_allclose(result, images / 255, atol=1e-5)


def test_pixels_worked_by_hand():
    # 8 x 16 at 20 of 32: 5 x 10 boxes of 1.6 x 1.6. A box takes the pixels whose middles lie in it,
    # and gives its mean to them. Columns do not differ.
    rows = np.array([0, 100, 200, 40, 80, 120, 160, 250], np.uint8)
    images = np.broadcast_to(rows[None, :, None, None], (1, 8, 16, 1)).copy()

    result = applied(images, "pixelate", 5, ())[0, :, 0, 0] * 255

    np.testing.assert_allclose(result, [50, 50, 200, 60, 60, 120, 205, 205], atol=1e-6)


@severities
@pytest.mark.parametrize("shape", [(32, 32, 3), (96, 96, 3), (48, 64, 1)])
def test_pixelate_shrinks_and_enlarges_by_boxes(severity, shape):
    images = pictures(1, *shape)
    pixels = CORRUPTIONS["pixelate"].parameters[severity - 1]
    height, width, channels = shape
    picture = Image.fromarray(images[0] if channels == 3 else images[0, ..., 0])

    small = picture.resize(
        (round(width * pixels / 32), round(height * pixels / 32)), Image.Resampling.BOX
    )
    expected = np.asarray(small.resize((width, height), Image.Resampling.BOX)).reshape(shape)

    np.testing.assert_array_equal(
        np.rint(applied(images, "pixelate", severity, ())[0] * 255), expected
    )


@severities
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_makes_of_its_quality(severity, channels):
    images = pictures(2, 24, 40, channels)
    quality = CORRUPTIONS["jpeg_compression"].parameters[severity - 1]

    result = np.rint(applied(images, "jpeg_compression", severity, ()) * 255)

    for image, ours in zip(images, result, strict=True):
        file = io.BytesIO()
        picture = Image.fromarray(image if channels == 3 else image[..., 0])
        picture.save(file, "JPEG", quality=quality)
        np.testing.assert_array_equal(ours, np.asarray(Image.open(file)).reshape(image.shape))
