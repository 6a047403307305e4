import numpy as np
import pytest
import tensorflow as tf

from twofold.components.transforms.colour.normalise import normalise
from twofold.components.transforms.colour.solarise import solarise


def test_solarisation_inverts_from_the_threshold_on(execute):
    levels = tf.constant([0.0, 0.25, 0.75, 1.0], shape=[1, 1, 4, 1])

    result = execute(lambda levels: tf.stack([solarise(levels), solarise(levels, 0.25)]))(levels)

    expected = [[0.0, 0.25, 0.25, 0.0], [0.0, 0.75, 0.25, 0.0]]
    np.testing.assert_array_equal(result.numpy().reshape(2, 4), expected)


def test_normalised_channels_have_mean_zero_and_deviation_one(execute, images):
    batch = images(2, 8, 8, 3)
    mean, std = batch.mean((0, 1, 2)), batch.std((0, 1, 2))

    result = execute(lambda batch: normalise(batch, list(mean), list(std)))(tf.constant(batch))

    np.testing.assert_allclose(result.numpy(), (batch - mean) / std, atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "expected"),
    [
        ((0.5,), (1.0, 1.0, 1.0), "mean must have one number for each of the 3 channels"),
        ((0.5,) * 3, (1.0,), "std must have one number for each of the 3 channels"),
        ((0.5,) * 3, (1.0, 0.0, 1.0), "std must be positive in every channel"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(images, mean, std, expected):
    with pytest.raises(ValueError, match=expected):
        normalise(tf.constant(images(1, 2, 2, 3)), mean, std)
