import math

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.components.transforms.geometry.warp import warp_nearest

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 9, 2)).astype(np.int32)


def warped(*matrix):
    return warp_nearest(tf.constant(IMAGE[None]), tf.constant([matrix], tf.float64)).numpy()[0]


def test_the_identity_gives_the_image_back():
    np.testing.assert_array_equal(warped(1, 0, 0, 0, 1, 0), IMAGE)


def test_two_flips_of_an_axis_reach_the_far_edges():
    np.testing.assert_array_equal(warped(-1, 0, 9, 0, -1, 6), IMAGE[::-1, ::-1])


def test_a_shift_off_the_image_leaves_nothing():
    assert not warped(1, 0, -100, 0, 1, 0).any()


def test_half_the_size_takes_every_second_pixel_and_fills_with_zeros():
    # The centre 0.5 of the first output pixel maps to 1.0, where the second input pixel begins.
    shrunk = warped(2, 0, 0, 0, 2, 0)

    np.testing.assert_array_equal(shrunk[:3, :4], IMAGE[1::2, 1::2])
    assert not shrunk[3:].any()
    assert not shrunk[:, 4:].any()


@given(*[st.floats(-1.5, 1.5)] * 2, st.floats(-9, 9), *[st.floats(-1.5, 1.5)] * 2, st.floats(-9, 9))
@settings(max_examples=50)
def test_every_pixel_comes_from_where_its_centre_maps(a, b, c, d, e, f):
    result = warped(a, b, c, d, e, f)

    for row, column in np.ndindex(6, 9):
        x = a * (column + 0.5) + b * (row + 0.5) + c
        y = d * (column + 0.5) + e * (row + 0.5) + f
        # 16 bits of fraction, rounded in three terms, cannot tell which side of an edge this is.
        if min(abs(x - round(x)), abs(y - round(y))) < 1e-3:
            continue
        inside = 0 <= x < 9 and 0 <= y < 6
        expected = IMAGE[math.floor(y), math.floor(x)] if inside else [0, 0]
        np.testing.assert_array_equal(result[row, column], expected)


def test_every_execution_takes_the_same_pixels(execute):
    random = np.random.default_rng(1)
    images = tf.constant(random.integers(0, 256, (8, 7, 9, 3)), tf.int32)
    matrices = tf.constant(random.uniform(-1, 1, (8, 6)) * [1, 1, 9, 1, 1, 9])

    result = execute(warp_nearest)(images, matrices)

    np.testing.assert_array_equal(result, warp_nearest(images, matrices))
