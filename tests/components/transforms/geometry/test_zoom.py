import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from twofold.components.transforms.geometry.zoom import (
    ZoomParameters,
    ZoomRanges,
    apply_zoom,
    sample_zoom,
)


def zoomed(image, shift=(0.0, 0.0), remaining=(1.0, 1.0), flip=False):
    parameters = ZoomParameters(
        shift=tf.constant([shift], tf.float32),
        remaining=tf.constant([remaining], tf.float32),
        flip=tf.constant([flip]),
    )
    return apply_zoom(tf.constant(image[None]), parameters).numpy()[0]


def by_keras(image, shift, remaining, flip):
    """Keras's flip, and the maps of its RandomTranslation and RandomZoom, one after the other."""
    height, width, _ = image.shape
    image = image[:, ::-1] if flip else image
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    shifted = [1, 0, -shift[1] * width, 0, 1, -shift[0] * height, 0, 0]
    x_offset, y_offset = centre_x * (1 - remaining[1]), centre_y * (1 - remaining[0])
    enlarged = [remaining[1], 0, x_offset, 0, remaining[0], y_offset, 0, 0]
    for one in (shifted, enlarged):
        image = keras.ops.image.affine_transform(
            image, np.array(one, np.float32), fill_mode="reflect"
        )
    return image


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 14, 3)])
def test_no_shift_and_no_zoom_give_the_image_back_exactly(images, shape):
    image = images(*shape)

    np.testing.assert_array_equal(zoomed(image), image)
    np.testing.assert_array_equal(zoomed(image, flip=True), image[:, ::-1])


def test_a_shift_moves_down_and_right_and_brings_in_the_reflection():
    row = np.array([1, 2, 3, 4], np.float32).reshape(1, 4, 1) / 4

    np.testing.assert_allclose(zoomed(row, shift=(0, 0.5))[0, :, 0] * 4, [2, 1, 1, 2], atol=1e-6)
    np.testing.assert_allclose(zoomed(row, shift=(0, -0.5))[0, :, 0] * 4, [3, 4, 4, 3], atol=1e-6)


def test_a_zoom_enlarges_about_the_centre():
    column = np.array([0, 1, 2, 3], np.float32).reshape(4, 1, 1) / 4

    # Output row y takes the input at (y - 1.5) / 2 + 1.5.
    enlarged = zoomed(column, remaining=(0.5, 1.0))[:, 0, 0] * 4

    np.testing.assert_allclose(enlarged, [0.75, 1.25, 1.75, 2.25], atol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [(0.25, -0.5), (-0.125, 0.25), (0.0, 0.0)])
@pytest.mark.parametrize("remaining", [(1.0, 1.0), (0.5, 0.8)])
def test_whole_pixel_shifts_give_what_kerass_two_layers_give(images, shift, remaining, flip):
    image = images(8, 16, 3)

    result = zoomed(image, shift, remaining, flip)

    np.testing.assert_allclose(result, by_keras(image, shift, remaining, flip), atol=1e-5)


def test_a_fractional_shift_alone_gives_what_keras_gives(images):
    image = images(9, 13, 3)

    result = zoomed(image, shift=(0.21, -0.33))

    np.testing.assert_allclose(result, by_keras(image, (0.21, -0.33), (1, 1), False), atol=1e-5)


def test_shifts_and_zooms_fill_their_ranges_evenly_and_independently(keys):
    drawn = sample_zoom(keys(20_000), ZoomRanges(min_area=0.25))

    # z = 1 - sqrt(.25) = .5.
    shares = np.concatenate([drawn.shift.numpy() / 0.5 + 0.5, (1 - drawn.remaining) / 0.5], axis=1)
    for share in shares.T:
        assert -1e-6 <= share.min() < 0.001
        assert 0.999 < share.max() <= 1 + 1e-6
        assert stats.kstest(share, "uniform").pvalue > 1e-3
    correlations = np.corrcoef(np.column_stack([shares, drawn.flip]).T) - np.eye(5)
    assert np.abs(correlations).max() < 4.5 / math.sqrt(20_000)
    assert stats.binomtest(int(np.sum(drawn.flip)), 20_000).pvalue > 1e-3


def test_every_execution_gives_the_same(execute, images, keys):
    batch, some = tf.constant(images(4, 7, 9, 3)), keys(4)

    def view(batch, some):
        return apply_zoom(batch, sample_zoom(some, ZoomRanges(0.25)))

    np.testing.assert_allclose(execute(view)(batch, some), view(batch, some), atol=1e-5)


def test_an_area_above_one_is_refused():
    with pytest.raises(ValueError, match=r"min_area must be between 0 and 1, received 1\.5"):
        ZoomRanges(min_area=1.5)
