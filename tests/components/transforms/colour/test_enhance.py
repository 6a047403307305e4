import numpy as np
import pytest
import tensorflow as tf

from twofold.components.transforms.colour import enhance


def test_grey_is_the_luma_of_bt_601():
    colours = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    image = tf.constant(colours, tf.int32)[None, None]

    # 0.299, 0.587 and 0.114 of 255 are 76.2, 149.7 and 29.1.
    assert enhance.grey(image).numpy()[0, 0, :, 0].tolist() == [76, 150, 29, 255]


def test_an_image_of_one_channel_is_its_own_grey():
    image = tf.reshape(tf.range(12), [1, 3, 4, 1])

    np.testing.assert_array_equal(enhance.grey(image), image)


@pytest.mark.parametrize(("values", "mean"), [([1, 2], 2), ([1, 1, 2], 1), ([1, 2, 2], 2)])
def test_the_mean_grey_is_rounded(values, mean):
    image = tf.constant(values, tf.int32)[None, None, :, None]

    assert enhance.mean_grey(image).numpy().item() == mean


def test_smooth_spreads_a_point_and_keeps_the_border():
    image = np.zeros((1, 5, 5, 1), np.int32)
    image[0, 2, 2, 0] = 130
    image[0, 0, 0, 0] = 200

    smoothed = enhance.smooth(tf.constant(image)).numpy()[0, :, :, 0]

    # 200 / 13 is 15.4.
    expected = np.zeros((5, 5), int)
    expected[1:4, 1:4] = 10
    expected[2, 2] = 50
    expected[1, 1] = 25
    expected[0, 0] = 200
    np.testing.assert_array_equal(smoothed, expected)


@pytest.mark.parametrize("shape", [(1, 2, 9, 3), (1, 9, 1, 3)])
def test_smooth_leaves_an_image_that_is_all_border(shape):
    image = tf.constant(np.random.default_rng(0).integers(0, 256, shape), tf.int32)

    np.testing.assert_array_equal(enhance.smooth(image), image)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.0, [100, 100]), (1.0, [50, 200]), (0.73, [63, 173]), (1.9, [5, 255])],
)
def test_blend_goes_from_the_degenerate_image_through_the_image(factor, expected):
    image = tf.constant([50, 200], tf.int32)[None, None, :, None]

    result = enhance.blend(tf.fill([1, 1, 2, 1], 100), image, tf.constant([factor]))

    assert result.numpy()[0, 0, :, 0].tolist() == expected


def test_blend_by_hundredths_falls_short_of_no_whole_number():
    values = np.arange(256)
    image = tf.constant(values[None, None, :, None], tf.int32)

    for hundredths in range(201):
        factor = tf.constant([hundredths / 100])
        result = enhance.blend(tf.zeros_like(image), image, factor).numpy()[0, 0, :, 0]
        np.testing.assert_array_equal(result, np.minimum(values * hundredths // 100, 255))
