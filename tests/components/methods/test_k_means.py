"""Spherical k-means of whitened patches."""

import numpy as np
import tensorflow as tf

from tests.components.methods.forms import BATCH, IMAGE_SHAPE, build_form, method_input
from twofold.components.encoders.build import build_encoder
from twofold.components.losses.dictionary import dictionary_loss
from twofold.components.methods.generative.k_means import PatchMoments, cut_patches
from twofold.components.training.method import sample_views

PATCHES, SIDE = 3, 4


def views_of(method, batch):
    """The views of a step [B, h, w, C]."""
    return sample_views(method.views, batch.images, batch.keys, compiled=False)[0]


def normalised_patches(method, batch):
    """The patches of a step [N, D], as the method cuts them."""
    views = views_of(method, batch)
    cut = cut_patches(views, batch.keys, PATCHES, SIDE)
    return method.encoder.get_layer("whitening").normalise(cut).numpy().astype(np.float64)


def test_the_loss_is_that_of_the_whitened_patches_and_the_atoms():
    method, batch = build_form("k_means"), method_input()
    method.after_update([method(batch)], batch.step)

    output = method(batch)

    layer = method.encoder.get_layer("whitening")
    whitened = (normalised_patches(method, batch) - layer.mean) @ layer.transform.numpy()
    atoms = method.encoder.get_layer("dictionary").kernel.numpy()
    loss, used = dictionary_loss(
        tf.constant(whitened), tf.constant(atoms / np.linalg.norm(atoms, axis=0))
    )
    np.testing.assert_allclose(output.loss, loss, rtol=1e-4)
    np.testing.assert_allclose(output.metrics["atoms_used"], used, rtol=1e-6)


def test_features_are_those_of_the_whole_views():
    method, batch = build_form("k_means"), method_input()
    views = views_of(method, batch)

    features = method(batch).features

    np.testing.assert_allclose(features, method.encoder(views, training=True), rtol=1e-4, atol=1e-5)


def test_patches_are_whitened_by_all_that_were_seen():
    method = build_form("k_means", whitening_epsilon=0.2)
    steps = [method_input(step) for step in range(3)]
    seen = np.concatenate([normalised_patches(method, batch) for batch in steps])

    for batch in steps[:2]:
        method.after_update([method(batch)], batch.step)
    # Two outputs are those of a step that was cut into two parts.
    method.after_update([method(steps[2])], steps[2].step)

    layer = method.encoder.get_layer("whitening")
    values, vectors = np.linalg.eigh(np.cov(seen.T, bias=True))
    expected = vectors / np.sqrt(np.maximum(values, 0) + 0.2) @ vectors.T
    expected -= expected.mean(axis=0)
    np.testing.assert_allclose(layer.mean, seen.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.transform, expected, rtol=1e-3, atol=1e-4)
    whitened = layer.whiten(seen.astype(np.float32)).numpy()
    spread = np.linalg.eigvalsh(np.cov(whitened.T, bias=True))
    np.testing.assert_allclose(spread[1:], (values / (values + 0.2))[1:], rtol=1e-2, atol=1e-4)


def test_the_parts_of_an_accumulated_step_count_together():
    method, whole = build_form("k_means"), build_form("k_means")
    steps = [method_input(step) for step in range(2)]

    method.after_update([method(batch) for batch in steps], steps[0].step)
    for batch in steps:
        whole.after_update([whole(batch)], batch.step)

    assert int(method.moments.count) == 2 * BATCH * PATCHES
    np.testing.assert_allclose(method.moments.square, whole.moments.square, rtol=1e-5, atol=1e-6)


def test_moments_are_those_of_all_patches_however_many_come_at_once():
    random = np.random.default_rng(0)
    moments = PatchMoments(5)
    parts = [random.normal(size=(count, 5)) + 1 for count in (3, 50, 7)]

    for part in parts:
        moments.update(
            tf.constant(len(part), tf.int64),
            tf.constant(part.mean(axis=0), tf.float32),
            tf.constant(part.T @ part / len(part), tf.float32),
        )

    together = np.concatenate(parts)
    assert int(moments.count) == 60
    np.testing.assert_allclose(moments.mean, together.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.square, together.T @ together / 60, rtol=1e-5)


def test_patches_are_windows_of_their_own_image_from_every_place():
    images = np.arange(2 * 6 * 7 * 2, dtype=np.float32).reshape(2, 6, 7, 2)
    keys = tf.constant([5, 9], tf.uint32)

    patches = cut_patches(tf.constant(images), keys, 200, 4).numpy().reshape(2, 200, 4, 4, 2)

    for image, own in zip(images, patches, strict=True):
        places = set()
        for patch in own:
            row, column = np.argwhere((image == patch[0, 0]).all(axis=2))[0]
            np.testing.assert_array_equal(patch, image[row : row + 4, column : column + 4])
            places.add((row, column))
        assert len(places) == 3 * 4
    again = cut_patches(tf.constant(images[::-1]), keys[::-1], 200, 4).numpy()
    np.testing.assert_array_equal(again.reshape(2, 200, 4, 4, 2)[::-1], patches)


def test_atoms_find_the_patches_that_images_are_made_of():
    """Stripes that lie or stand have four phases each, of which two are others turned round."""
    stripes = np.zeros((2, 12, 12, 1), np.uint8)
    stripes[0, ::4], stripes[0, 1::4] = 255, 255
    stripes[1, :, ::4], stripes[1, :, 1::4] = 255, 255
    encoder = build_encoder("patch_dictionary", IMAGE_SHAPE, seed=3, patch=SIDE, atoms=16, grid=1)
    method = build_form("k_means", encoder=encoder, views=(lambda images, keys: images,), patches=8)
    kernel = encoder.get_layer("dictionary").kernel
    optimizer = tf.keras.optimizers.Adam(0.05)
    for step in range(60):
        batch = method_input(step, image=np.repeat(stripes, BATCH // 2, axis=0))
        with tf.GradientTape() as tape:
            output = method(batch)
        optimizer.apply(tape.gradient(output.loss, [kernel.value]), [kernel])
        method.after_update([output], batch.step)

    energy = np.mean(np.square(encoder.get_layer("whitening")(stripes / 255.0)))
    assert float(output.loss) < 0.05 * energy
