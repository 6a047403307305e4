"""EMP-SSL: many patches of an image in one step."""

import numpy as np
import tensorflow as tf

from tests.components.methods.forms import BATCH, IMAGE_SHAPE, build_form, method_input
from twofold.components import keyed_random
from twofold.components.losses.coding_rate import coding_rate_of_patches
from twofold.components.methods.settings import METHODS
from twofold.components.training.method import sample_views

PATCHES = 3


def patches_by_hand(method, batch):
    """Each patch of all images [B, h, w, C], drawn by keys of its own."""
    for number in range(PATCHES):
        keys = keyed_random.fold_in(batch.keys, number)
        (patch,) = sample_views(method.views, batch.images, keys, compiled=False)
        yield patch


def test_the_loss_is_that_of_all_patches_projections_with_the_settings():
    settings = {"patches": PATCHES, "invariance": 7.0, "squared_distortion": 0.3}
    method, fresh = build_form("emp_ssl", **settings), build_form("emp_ssl")
    batch = method_input()

    output = method(batch)

    # All patches share the statistics of a batch.
    together = tf.concat([*patches_by_hand(fresh, batch)], axis=0)
    features = fresh.encoder(together, training=True)
    projections = fresh.projector(features, training=True)
    loss, agreement = coding_rate_of_patches(
        tf.stack(tf.split(projections, PATCHES)), invariance=7.0, squared_distortion=0.3
    )
    np.testing.assert_allclose(output.loss, loss, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["agreement"], agreement, rtol=1e-5)
    expected = np.mean(np.split(features.numpy(), PATCHES), axis=0)
    np.testing.assert_allclose(output.features, expected, rtol=1e-4, atol=1e-6)


def test_every_patch_of_every_image_is_drawn_on_its_own():
    seen = []

    def encoder(views, training):
        seen.append(views.numpy())
        return tf.reduce_mean(views, axis=(1, 2))

    def key_itself(images, keys):
        return tf.ones_like(images) * tf.cast(keys, tf.float32)[:, None, None, None] / 2**32

    build_form(
        "emp_ssl",
        views=(key_itself,),
        encoder=encoder,
        projector=lambda x, training: tf.concat([x, 1 - x], 1),
    )(method_input())

    (views,) = seen
    assert views.shape == (PATCHES * BATCH, *IMAGE_SHAPE)
    assert len(np.unique(views[:, 0, 0, 0])) == PATCHES * BATCH


def test_features_are_the_means_of_an_images_own_patches():
    def encoder(views, training):
        return tf.reduce_mean(views, axis=(1, 2))

    def image_itself(images, keys):
        return images

    batch = method_input()
    output = build_form(
        "emp_ssl",
        views=(image_itself,),
        encoder=encoder,
        projector=lambda x, training: tf.concat([x, 1 - x], 1),
    )(batch)

    expected = batch.images.numpy().mean(axis=(1, 2)) / 255
    np.testing.assert_allclose(output.features, expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["agreement"], 1, rtol=1e-6)


def test_equal_keys_give_the_same_loss_and_others_another():
    one, same, other = (
        build_form("emp_ssl")(method_input(key_hash=np.arange(BATCH, dtype=np.int64) + shift)).loss
        for shift in (0, 0, 100)
    )

    assert float(one) == float(same)
    assert float(one) != float(other)


def test_the_published_settings_are_the_default():
    settings = METHODS.defaults("emp_ssl")
    published = {"patches": 20, "invariance": 200.0, "squared_distortion": 0.2}
    assert published.items() <= settings.items()
