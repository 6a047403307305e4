import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from twofold.components import keyed_random
from twofold.components.transforms.views import (
    chain,
    clip_to_unit_range,
    drawn,
    fixed,
    isolated,
    make_views,
    sometimes,
    to_unit_range,
)


def batch_of(count, height=4, width=5, channels=3):
    random = np.random.default_rng(1)
    return tf.constant(random.integers(0, 256, (count, height, width, channels), np.uint8))


def noise(images, keys):
    """Fills each image with one number of its own."""
    numbers = keyed_random.uniform(keys, 1)[:, :, None, None]
    return tf.zeros_like(images) + numbers


def halved(images, keys):
    return images / 2


def test_views_are_stacked_in_the_order_of_their_policies(keys):
    batch = batch_of(3)
    unit = to_unit_range(batch)

    views = make_views([halved, fixed(tf.identity)], batch, keys(3))

    assert views.shape == (2, 3, 4, 5, 3)
    assert views.dtype == tf.float32
    np.testing.assert_array_equal(views, tf.stack([unit / 2, unit]))


def test_two_views_of_one_policy_are_drawn_independently(keys):
    one, other = make_views([noise, noise], batch_of(2_000, 1, 1, 1), keys(2_000)).numpy()

    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(2_000)


def test_more_views_leave_the_first_ones_as_they_are(keys):
    batch, some = batch_of(2), keys(2)

    two, four = (make_views([noise] * count, batch, some).numpy() for count in (2, 4))

    np.testing.assert_array_equal(four[:2], two)


def test_a_chain_applies_its_views_in_order(images, keys):
    batch = tf.constant(images(2, 3, 3, 1))

    result = chain(fixed(lambda images: images + 1), halved)(batch, keys(2))

    np.testing.assert_array_equal(result, (batch + 1) / 2)


def test_equal_parts_of_a_chain_draw_independently(images, keys):
    seen = []

    def noted(images, keys):
        seen.append(keyed_random.uniform(keys, 1).numpy()[:, 0])
        return images

    chain(noted, noted)(tf.constant(images(2_000, 1, 1, 1)), keys(2_000))

    assert abs(np.corrcoef(*seen)[0, 1]) < 4 / np.sqrt(2_000)


def test_a_drawn_view_applies_what_it_sampled(images, keys):
    batch, some = tf.constant(images(3, 2, 2, 1)), keys(3)

    view = drawn(
        lambda keys: tf.cast(keys % 7, tf.float32), lambda x, n: x * n[:, None, None, None]
    )

    expected = batch * (some.numpy() % 7).astype(np.float32)[:, None, None, None]
    np.testing.assert_array_equal(view(batch, some), expected)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_sometimes_changes_its_share_of_the_images(keys, probability):
    zeros = tf.zeros([5_000, 1, 1, 1])

    changed = sometimes(probability, fixed(lambda images: images + 1))(zeros, keys(5_000))

    count = int(np.sum(changed))
    assert set(np.unique(changed)) <= {0.0, 1.0}
    if probability in (0.0, 1.0):
        assert count == 5_000 * probability
    else:
        assert stats.binomtest(count, 5_000, probability).pvalue > 1e-3


def test_whether_a_view_is_applied_says_nothing_about_its_draws(keys):
    minus = tf.fill([5_000, 1, 1, 1], -1.0)

    result = sometimes(0.5, noise)(minus, keys(5_000)).numpy().ravel()

    assert stats.kstest(result[result >= 0], "uniform").pvalue > 1e-3


def test_a_probability_above_one_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, received 1\.5"):
        sometimes(1.5, noise)


@pytest.mark.parametrize("count", [0, 3])
def test_isolation_changes_nothing(execute, images, keys, count):
    batch, some = tf.constant(images(count, 4, 5, 3)), keys(count)

    result = execute(isolated(noise))(batch, some)

    np.testing.assert_array_equal(result.numpy(), noise(batch, some).numpy())


def test_clipping_ends_at_zero_and_one():
    np.testing.assert_array_equal(clip_to_unit_range(tf.constant([-1.0, 0.5, 2.0])), [0, 0.5, 1])


def test_the_unit_range_is_the_byte_over_255(execute):
    levels = tf.range(256)

    unit = execute(lambda levels: to_unit_range(tf.cast(levels, tf.uint8)))(levels)

    np.testing.assert_allclose(unit, np.arange(256) / 255, rtol=1e-6)
    assert unit[0] == 0.0
    assert unit[255] == 1.0
