import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from twofold.components.transforms.colour.brightness import (
    BrightnessFactorRanges,
    BrightnessShiftRanges,
    apply_brightness_factor,
    apply_brightness_shift,
    sample_brightness_factor,
    sample_brightness_shift,
)
from twofold.components.transforms.colour.contrast import (
    ContrastRanges,
    apply_contrast,
    sample_contrast,
)
from twofold.components.transforms.colour.grey import (
    SaturationRanges,
    apply_saturation,
    sample_saturation,
    scale_saturation,
    to_grey,
)
from twofold.components.transforms.colour.hue import HueRanges, apply_hue, sample_hue
from twofold.components.transforms.colour.jitter import (
    JitterParameters,
    JitterRanges,
    apply_jitter,
    sample_jitter,
)

NUMBERS = np.array([-0.3, 0.0, 0.4, 1.0], np.float32)


def grey_of(image):
    return (image @ np.array([0.299, 0.587, 0.114]))[..., None]


def hue_by_colorsys(image, turn):
    result = np.zeros(image.shape)
    for place in np.ndindex(image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place].astype(float))
        result[place] = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    return result


FORMULAS = {
    "brightness shift": (apply_brightness_shift, lambda image, number: image + number),
    "brightness factor": (apply_brightness_factor, lambda image, number: image * number),
    "contrast": (
        apply_contrast,
        lambda image, number: image.mean((0, 1)) + number * (image - image.mean((0, 1))),
    ),
    "saturation": (
        apply_saturation,
        lambda image, number: grey_of(image) + number * (image - grey_of(image)),
    ),
    "hue": (apply_hue, hue_by_colorsys),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_equals_its_formula_with_a_number_for_each_image(execute, images, name):
    apply, formula = FORMULAS[name]
    batch = images(4, 5, 6, 3)

    result = execute(apply)(tf.constant(batch), tf.constant(NUMBERS)).numpy()

    expected = [formula(image, number) for image, number in zip(batch, NUMBERS, strict=True)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


NEUTRAL = {
    apply_brightness_shift: 0.0,
    apply_brightness_factor: 1.0,
    apply_contrast: 1.0,
    apply_saturation: 1.0,
    apply_hue: 0.0,
}


@pytest.mark.parametrize("apply", NEUTRAL)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_neutral_number_gives_the_image_back(images, apply, channels):
    batch = images(2, 4, 5, channels)

    result = apply(tf.constant(batch), tf.fill([2], NEUTRAL[apply]))

    np.testing.assert_allclose(result, batch, atol=1e-6)


@pytest.mark.parametrize("apply", [apply_saturation, apply_hue])
def test_one_channel_has_no_colour_to_change(images, apply):
    batch = tf.constant(images(2, 4, 5, 1))

    np.testing.assert_allclose(apply(batch, tf.constant([0.2, 0.4])), batch, atol=1e-6)


@pytest.mark.parametrize("apply", [apply_saturation, apply_hue])
def test_two_channels_are_refused(images, apply):
    with pytest.raises(ValueError, match=r"1 channel .* received 2 channels"):
        apply(tf.constant(images(1, 2, 2, 2)), tf.constant([0.5]))


def test_grey_is_the_luma_of_bt601_in_every_channel(execute, images):
    batch = images(3, 4, 5, 3)

    result = execute(to_grey)(tf.constant(batch)).numpy()

    np.testing.assert_allclose(result, np.repeat(grey_of(batch), 3, axis=-1), atol=1e-6)


def test_hue_agrees_with_tensorflows(images):
    batch = images(3, 6, 7, 3)
    turns = (-0.5, 0.1, 0.33)

    result = apply_hue(tf.constant(batch), tf.constant(turns))

    expected = [tf.image.adjust_hue(image, turn) for image, turn in zip(batch, turns, strict=True)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_third_of_a_turn_makes_red_green():
    red = tf.constant([1.0, 0.0, 0.0], shape=[1, 1, 1, 3])

    np.testing.assert_allclose(apply_hue(red, tf.constant([1 / 3]))[0, 0, 0], [0, 1, 0], atol=1e-6)


SAMPLERS: dict[str, tuple[Callable[..., tf.Tensor], Any, float, float]] = {
    "brightness shift": (sample_brightness_shift, BrightnessShiftRanges(0.5), -0.5, 0.5),
    "brightness factor": (sample_brightness_factor, BrightnessFactorRanges(0.8), 0.2, 1.8),
    "contrast": (sample_contrast, ContrastRanges(0.6), 0.4, 1.6),
    "contrast beyond 1": (sample_contrast, ContrastRanges(1.5), 0.0, 2.5),
    "saturation": (sample_saturation, SaturationRanges(0.2), 0.8, 1.2),
    "hue": (sample_hue, HueRanges(0.1), -0.1, 0.1),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_numbers_fill_their_range_evenly(keys, name):
    sample, ranges, low, high = SAMPLERS[name]

    shares = (sample(keys(20_000), ranges).numpy() - low) / (high - low)

    assert -1e-5 <= shares.min() < 0.001
    assert 0.999 < shares.max() <= 1 + 1e-5
    assert stats.kstest(shares, "uniform").pvalue > 1e-3


def test_the_parts_of_a_jitter_are_drawn_independently(keys):
    ranges = JitterRanges(shift=0.5, brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5)

    drawn = np.stack([part.numpy() for part in vars(sample_jitter(keys(20_000), ranges)).values()])

    assert np.abs(np.corrcoef(drawn) - np.eye(5)).max() < 4.5 / np.sqrt(20_000)


def test_a_jitter_is_its_parts_in_the_stated_order(execute, images):
    batch = tf.constant(images(3, 4, 5, 3))
    numbers = [tf.constant(part) for part in np.random.default_rng(0).random((5, 3), np.float32)]

    result = execute(lambda batch, *parts: apply_jitter(batch, JitterParameters(*parts)))(
        batch, *numbers
    )

    expected = apply_brightness_factor(apply_brightness_shift(batch, numbers[0]), numbers[1])
    expected = apply_saturation(apply_contrast(expected, numbers[2]), numbers[3])
    np.testing.assert_allclose(result, apply_hue(expected, numbers[4]), atol=1e-5)


@pytest.mark.parametrize(
    ("field", "value"), [("shift", 1.5), ("contrast", -0.1), ("saturation", -1.0), ("hue", 0.7)]
)
def test_an_impossible_range_is_refused_by_its_name(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be .* received {value}"):
        JitterRanges(**{field: value})


def test_scaled_saturation_is_that_of_tensorflow_also_outside_the_range_of_images(execute):
    # Values as a shift of brightness leaves them.
    images = np.random.default_rng(0).uniform(-0.8, 1.8, (6, 8, 8, 3)).astype(np.float32)
    images[0, 0] = 0.0
    images[0, 1] = images[0, 1, :, :1]
    factors = np.array([0.0, 0.4, 0.9, 1.0, 1.2, 1.6], np.float32)

    result = execute(scale_saturation)(tf.constant(images), tf.constant(factors)).numpy()

    for image, factor, found in zip(images, factors, result, strict=True):
        expected = tf.image.adjust_saturation(image, factor)
        np.testing.assert_allclose(found, expected, atol=2e-6)
