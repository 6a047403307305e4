import numpy as np
import pytest
import tensorflow as tf

from components import keyed_random
from components.transforms.affine import AffineRanges
from components.transforms.colour import ColourRanges
from components.transforms.crop import CropRanges
from components.transforms.views import affine_view, crop_view, make_views, to_unit_range

POLICIES = {
    "affine": affine_view(AffineRanges()),
    "affine on the torus": affine_view(AffineRanges(border="wrap")),
    "crop and colour": crop_view(CropRanges(), ColourRanges()),
}


@pytest.fixture(params=POLICIES)
def policy(request):
    return POLICIES[request.param]


def batch_of(count, height=20, width=24, channels=3):
    random = np.random.default_rng(1)
    return tf.constant(random.integers(0, 256, (count, height, width, channels), np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_float_images_in_the_unit_range(policy, keys, channels):
    views = make_views(policy, batch_of(5, channels=channels), keys(5), count=3)

    assert views.shape == (3, 5, 20, 24, channels)
    assert views.dtype == tf.float32
    assert np.min(views) >= 0.0
    assert np.max(views) <= 1.0
    assert np.max(views) > 0.5


def test_every_execution_gives_the_same_views(policy, execute, keys):
    batch, some = batch_of(3), keys(3)

    views = execute(lambda batch, some: make_views(policy, batch, some))(batch, some)

    np.testing.assert_allclose(views.numpy(), make_views(policy, batch, some).numpy(), atol=1e-5)


def test_two_views_of_an_image_differ(policy, keys):
    one, other = make_views(policy, batch_of(6), keys(6)).numpy()

    assert np.all(np.abs(one - other).mean(axis=(1, 2, 3)) > 0.01)


def test_the_same_key_gives_the_same_view_in_any_row(policy, keys):
    batch, some = batch_of(6), keys(6)
    order = [4, 1, 5]

    views = make_views(policy, batch, some).numpy()
    chosen = make_views(policy, tf.gather(batch, order), tf.gather(some, order)).numpy()

    np.testing.assert_allclose(chosen, views[:, order], atol=1e-6)


def test_another_step_gives_other_views(policy):
    batch, identity = batch_of(4), tf.range(4, dtype=tf.int64)

    one, other = (
        make_views(policy, batch, keyed_random.image_keys(0, tf.constant(step), identity)).numpy()
        for step in (1, 2)
    )

    assert np.all(np.abs(one - other).mean(axis=(0, 2, 3, 4)) > 0.01)


def test_more_views_leave_the_first_ones_as_they_are(policy, keys):
    batch, some = batch_of(2), keys(2)

    two, four = (make_views(policy, batch, some, count).numpy() for count in (2, 4))

    np.testing.assert_array_equal(four[:2], two)


def test_the_unit_range_is_the_byte_over_255(execute):
    levels = tf.range(256)

    unit = execute(lambda levels: to_unit_range(tf.cast(levels, tf.uint8)))(levels)

    np.testing.assert_allclose(unit, np.arange(256) / 255, rtol=1e-6)
    assert unit[0] == 0.0
    assert unit[255] == 1.0
