import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twofold.components.transforms.geometry.affine import (
    AffineParameters,
    AffineRanges,
    apply_affine,
    sample_affine,
)

RECIPE_E = AffineRanges(90.0, 0.2, (0.8, 1.2), "zero", "bilinear")


def parameters(angle=0.0, shift=(0.0, 0.0), scale=1.0):
    """One map, for a batch of one image."""
    return AffineParameters(
        angle=tf.constant([angle], tf.float32),
        shift=tf.constant([shift], tf.float32),
        scale=tf.constant([scale], tf.float32),
    )


def transformed(image, border="zero", **named):
    return apply_affine(tf.constant(image[None]), parameters(**named), border).numpy()[0]


def transformed_in_plain_loops(image, angle, shift, scale, border):
    """The documented map, one output pixel and one neighbour at a time."""
    height, width, _ = image.shape
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    result = np.zeros(image.shape, np.float64)
    for row in range(height):
        for column in range(width):
            x_out, y_out = column - centre_x - shift[0], row - centre_y - shift[1]
            x = (math.cos(angle) * x_out + math.sin(angle) * y_out) / scale + centre_x
            y = (math.cos(angle) * y_out - math.sin(angle) * x_out) / scale + centre_y
            for y_near in (math.floor(y), math.floor(y) + 1):
                for x_near in (math.floor(x), math.floor(x) + 1):
                    inside = 0 <= y_near < height and 0 <= x_near < width
                    if inside or border == "wrap":
                        share = (1 - abs(y - y_near)) * (1 - abs(x - x_near))
                        result[row, column] += share * image[y_near % height, x_near % width]
    return result


@pytest.mark.parametrize("border", ["zero", "wrap"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 7, 3), (1, 5, 1)])
def test_identity_parameters_give_the_image_back_exactly(images, border, shape):
    image = images(*shape)

    np.testing.assert_array_equal(transformed(image, border), image)


@pytest.mark.parametrize("border", ["zero", "wrap"])
@pytest.mark.parametrize("side", [8, 9])
def test_a_quarter_turn_is_clockwise(images, border, side):
    image = images(side, side, 3)

    turned = transformed(image, border, angle=math.pi / 2)

    np.testing.assert_allclose(turned, np.rot90(image, k=-1), atol=1e-5)


def test_half_a_turn_reverses_both_axes_of_any_image(images):
    image = images(6, 9, 3)

    np.testing.assert_allclose(transformed(image, angle=math.pi), image[::-1, ::-1], atol=1e-5)


@pytest.mark.parametrize("shift", [(2, -3), (-4, 1), (0, 5), (100, 0), (-100, -100)])
def test_a_whole_pixel_shift_moves_right_and_down_and_fills_with_exact_zeros(images, shift):
    image = images(7, 10, 3)
    expected = np.zeros_like(image)
    for row in range(7):
        for column in range(10):
            if 0 <= row - shift[1] < 7 and 0 <= column - shift[0] < 10:
                expected[row, column] = image[row - shift[1], column - shift[0]]

    np.testing.assert_array_equal(transformed(image, "zero", shift=shift), expected)


@pytest.mark.parametrize("shift", [(2, -3), (-4, 1), (0, 5), (100, 0), (-100, -100)])
def test_a_whole_pixel_shift_on_the_torus_rolls_the_image(images, shift):
    image = images(7, 10, 3)

    rolled = np.roll(image, (shift[1], shift[0]), axis=(0, 1))
    np.testing.assert_array_equal(transformed(image, "wrap", shift=shift), rolled)


def test_scale_two_magnifies_about_the_centre():
    # Output column x takes the input at (x - 1.5) / 2 + 1.5.
    ramp = np.tile(np.array([0, 1, 2, 3], np.float32)[:, None] / 4, (4, 1, 1))

    magnified = transformed(ramp, scale=2.0)

    np.testing.assert_allclose(magnified[2, :, 0], np.array([0.75, 1.25, 1.75, 2.25]) / 4)


def test_scale_one_half_shows_what_lies_outside():
    ones = np.ones((2, 2, 1), np.float32)

    np.testing.assert_allclose(transformed(ones, "zero", scale=0.5), 0.25 * ones)
    np.testing.assert_allclose(transformed(ones, "wrap", scale=0.5), ones)


@pytest.mark.parametrize("border", ["zero", "wrap"])
def test_equals_the_formula_in_plain_loops(execute, images, keys, border):
    batch = images(4, 9, 12, 3)
    ranges = AffineRanges(180.0, 0.4, (0.5, 2.0), border, "bilinear")
    drawn = sample_affine(keys(4), ranges, 9, 12)

    @execute
    def run(batch, angle, shift, scale):
        return apply_affine(batch, AffineParameters(angle, shift, scale), border)

    result = run(tf.constant(batch), drawn.angle, drawn.shift, drawn.scale).numpy()

    for image, angle, shift, scale, view in zip(
        batch, drawn.angle.numpy(), drawn.shift.numpy(), drawn.scale.numpy(), result, strict=True
    ):
        np.testing.assert_allclose(
            view, transformed_in_plain_loops(image, angle, shift, scale, border), atol=1e-5
        )


@given(
    angle=st.floats(-7, 7),
    shift=st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    scale=st.floats(0.1, 10),
    border=st.sampled_from(["zero", "wrap"]),
)
@settings(deadline=None, max_examples=50)
def test_values_between_zero_and_one_stay_there(angle, shift, scale, border):
    image = np.random.default_rng(0).integers(0, 2, (6, 5, 3)).astype(np.float32)

    result = transformed(image, border, angle=angle, shift=shift, scale=scale)

    assert result.min() >= 0.0
    assert result.max() <= 1.0


def test_an_unknown_border_is_refused(images):
    with pytest.raises(ValueError, match=r"border must be .* received 'mirror'"):
        transformed(images(4, 4, 1), "mirror")


def test_angles_and_scales_fill_their_ranges_evenly(keys):
    drawn = sample_affine(keys(20_000), RECIPE_E, 20, 40)

    turns = (drawn.angle.numpy() + math.pi / 2) / math.pi
    assert stats.kstest(turns, "uniform").pvalue > 1e-3
    shares = (drawn.scale.numpy() - 0.8) / 0.4
    assert stats.kstest(shares, "uniform").pvalue > 1e-3
    for filled in (turns, shares):
        assert -1e-6 <= filled.min() < 0.001
        assert 0.999 < filled.max() <= 1 + 1e-6


def test_shifts_are_whole_pixels_up_to_the_share_of_each_side(keys):
    drawn = sample_affine(keys(20_000), RECIPE_E, height=20, width=40)

    shift = drawn.shift.numpy()
    np.testing.assert_array_equal(shift, np.round(shift))
    assert set(shift[:, 0]) == set(range(-8, 9))
    assert set(shift[:, 1]) == set(range(-4, 5))
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.03
    # Rounding leaves half a pixel's share to the two outermost shifts.
    counts = [np.count_nonzero(shift[:, 1] == value) for value in range(-4, 5)]
    expected = np.array([0.5, 1, 1, 1, 1, 1, 1, 1, 0.5]) * 20_000 / 8
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_the_draws_are_the_same_in_every_execution(execute, keys):
    some = keys(3_000)

    def draw(some):
        drawn = sample_affine(some, RECIPE_E, 63, 65)
        return drawn.angle, drawn.shift, drawn.scale

    for result, eager in zip(execute(draw)(some), draw(some), strict=True):
        np.testing.assert_allclose(result.numpy(), eager.numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("border", ["zero", "wrap"])
def test_nearest_takes_the_pixel_next_to_the_source(execute, images, keys, border):
    batch = images(4, 9, 12, 3)
    ranges = AffineRanges(180.0, 0.4, (0.5, 2.0), "zero", "bilinear")
    drawn = sample_affine(keys(4), ranges, 9, 12)

    @execute
    def run(batch, angle, shift, scale):
        return apply_affine(batch, AffineParameters(angle, shift, scale), border, "nearest")

    result = run(tf.constant(batch), drawn.angle, drawn.shift, drawn.scale).numpy()

    for image, angle, shift, scale, view in zip(
        batch, drawn.angle.numpy(), drawn.shift.numpy(), drawn.scale.numpy(), result, strict=True
    ):
        for row, column in np.ndindex(9, 12):
            x_centred, y_centred = column - 5.5 - shift[0], row - 4.0 - shift[1]
            x = round((np.cos(angle) * x_centred + np.sin(angle) * y_centred) / scale + 5.5)
            y = round((np.cos(angle) * y_centred - np.sin(angle) * x_centred) / scale + 4.0)
            if border == "wrap":
                expected = image[y % 9, x % 12]
            elif 0 <= x < 12 and 0 <= y < 9:
                expected = image[y, x]
            else:
                expected = np.zeros(3, np.float32)
            np.testing.assert_array_equal(view[row, column], expected)


def test_nearest_keeps_a_binary_image_binary(keys):
    image = np.zeros((1, 16, 16, 1), np.float32)
    image[:, 5:11, 4:12] = 1.0
    drawn = sample_affine(keys(1), RECIPE_E, 16, 16)

    view = apply_affine(tf.constant(image), drawn, "zero", "nearest").numpy()

    assert set(np.unique(view)) == {0.0, 1.0}


def test_an_unknown_interpolation_is_refused(images, keys):
    drawn = sample_affine(keys(1), RECIPE_E, 4, 4)
    with pytest.raises(ValueError, match=r"interpolation must be .* received 'cubic'"):
        apply_affine(tf.constant(images(1, 4, 4, 1)), drawn, "zero", "cubic")
