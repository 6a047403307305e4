import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from twofold.components.transforms.geometry.resample import reflected, resample


def read_in_plain_loops(image, rows, columns):
    """Bilinear reading of the nearest inside place, one output pixel at a time."""
    height, width, channels = image.shape
    result = np.zeros((len(rows), len(columns), channels))
    for i, y in enumerate(np.clip(rows, 0, height - 1)):
        for j, x in enumerate(np.clip(columns, 0, width - 1)):
            for row in {math.floor(y), math.ceil(y)}:
                for column in {math.floor(x), math.ceil(x)}:
                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                    result[i, j] += share * image[row, column]
    return result


@pytest.mark.parametrize("shape", [(6, 9, 3), (1, 5, 1), (4, 1, 2)])
def test_equals_bilinear_reading_in_plain_loops(execute, images, shape):
    batch = images(3, *shape)
    random = np.random.default_rng(0)
    rows = random.uniform(-2, shape[0] + 1, (3, 7)).astype(np.float32)
    columns = random.uniform(-2, shape[1] + 1, (3, 5)).astype(np.float32)

    result = execute(resample)(tf.constant(batch), tf.constant(rows), tf.constant(columns))

    expected = np.stack(
        [read_in_plain_loops(*one) for one in zip(batch, rows, columns, strict=True)]
    )
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


def test_whole_positions_give_the_pixels_exactly(images):
    batch = images(1, 4, 6, 3)

    result = resample(batch, tf.constant([[3.0, 0.0]]), tf.constant([[5.0, 1.0, 1.0]]))

    np.testing.assert_array_equal(result[0], batch[0][[3, 0]][:, [5, 1, 1]])


@given(side=st.integers(1, 9), places=st.lists(st.integers(-30, 30), min_size=1, max_size=20))
def test_reflection_continues_the_pixels_as_numpy_does(side, places):
    extended = np.pad(np.arange(side), 300, mode="symmetric")

    folded = reflected(tf.constant(places, tf.float32), side).numpy()

    np.testing.assert_allclose(folded, extended[np.array(places) + 300], atol=1e-4)


def test_reflection_mirrors_between_the_pixels_too():
    folded = reflected(tf.constant([-1.25, -0.5, 3.25, 3.5, 4.75]), 4)

    np.testing.assert_allclose(folded, [0.25, -0.5, 3.25, 3.5, 2.25])
