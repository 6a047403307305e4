"""One layer of whitened patches against a dictionary."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder

PATCH, ATOMS, THRESHOLD = 4, 7, 0.3
WIDTH = PATCH * PATCH * 3


def images(count, height=11, width=12):
    return np.random.default_rng(height).random((count, height, width, 3), np.float32)


def build(height=11, width=12, **settings):
    settings = {"patch": PATCH, "atoms": ATOMS, "threshold": THRESHOLD, "grid": 2} | settings
    settings = {"mirrored": False} | settings
    return build_encoder("patch_dictionary", (height, width, 3), seed=0, **settings)


def give_whitening(encoder):
    """Gives the encoder a mean and a transform, of which the columns sum to 0."""
    random = np.random.default_rng(5)
    transform = random.normal(size=(WIDTH, WIDTH)).astype(np.float32)
    mean = random.normal(size=WIDTH).astype(np.float32)
    transform -= transform.mean(axis=0)
    layer = encoder.get_layer("whitening")
    layer.mean.assign(mean)
    layer.transform.assign(transform)
    return mean.astype(np.float64), transform.astype(np.float64)


def patches_by_hand(batch, stride=1):
    """Normalised patches [B, h, w, D] in float64."""
    rows = range(0, batch.shape[1] - PATCH + 1, stride)
    columns = range(0, batch.shape[2] - PATCH + 1, stride)
    result = np.empty((len(batch), len(rows), len(columns), WIDTH))
    for image in range(len(batch)):
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                pixels = batch[image, row : row + PATCH, column : column + PATCH].astype(np.float64)
                spread = np.sqrt(pixels.var() + 10 / 255**2)
                result[image, i, j] = ((pixels - pixels.mean()) / spread).ravel()
    return result


def features_by_hand(encoder, batch, mean, transform):
    """Features before normalisation, of 2 x 2 regions."""
    atoms = encoder.get_layer("dictionary").kernel.numpy().astype(np.float64)
    atoms /= np.linalg.norm(atoms, axis=0)
    encoded = np.maximum(0, (patches_by_hand(batch) - mean) @ transform @ atoms - THRESHOLD)
    # Of 8 rows of patches and 9 columns, where Python rounds 4.5 to 4.
    regions = [encoded[:, r, c] for r in (np.s_[:4], np.s_[4:]) for c in (np.s_[:4], np.s_[4:])]
    return np.concatenate([np.sqrt(one.mean(axis=(1, 2)) + 1e-4) for one in regions], axis=1)


@pytest.mark.parametrize("stride", [1, 3])
def test_each_patch_is_normalised_and_whitened(stride):
    encoder = build(stride=stride)
    mean, transform = give_whitening(encoder)

    whitened = encoder.get_layer("whitening")(images(3)).numpy()

    expected = (patches_by_hand(images(3), stride) - mean) @ transform
    np.testing.assert_allclose(whitened, expected, rtol=1e-4, atol=2e-4)


def test_patches_that_are_cut_already_are_whitened_alike():
    encoder = build()
    give_whitening(encoder)
    layer = encoder.get_layer("whitening")
    batch = images(2)
    cut = np.stack([batch[1, 2 : 2 + PATCH, 5 : 5 + PATCH], batch[0, 7:, 8:]])

    whitened = layer.whiten(layer.normalise(cut))

    expected = layer(batch).numpy()[[1, 0], [2, 7], [5, 8]]
    np.testing.assert_allclose(whitened, expected, rtol=1e-4, atol=2e-4)


def test_untrained_whitening_takes_a_patchs_mean_away_alone():
    whitened = build().get_layer("whitening")(images(3))

    np.testing.assert_allclose(whitened, patches_by_hand(images(3)), rtol=1e-4, atol=1e-4)


def test_features_are_roots_of_the_means_of_what_exceeds_the_threshold():
    encoder = build()
    mean, transform = give_whitening(encoder)
    norm = encoder.get_layer("features_norm")
    moving = np.random.default_rng(6).uniform(0.5, 2, (2, 4 * ATOMS)).astype(np.float32)
    norm.moving_mean.assign(moving[0])
    norm.moving_variance.assign(moving[1])

    features = encoder(images(3), training=False)

    plain = features_by_hand(encoder, images(3), mean, transform)
    expected = (plain - moving[0]) / np.sqrt(moving[1] + 1e-5)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=2e-4)


def test_an_image_and_its_mirror_image_have_the_same_features():
    plain, mirrored = build(), build(mirrored=True)
    give_whitening(plain)
    mirrored.set_weights(plain.get_weights())
    batch = images(3)

    features = mirrored(batch, training=False).numpy()

    np.testing.assert_allclose(
        mirrored(batch[:, :, ::-1], training=False), features, rtol=1e-5, atol=1e-5
    )
    # Before the root, they are the mean of both images' features; the normalisation is 1.
    squares = [
        np.square(plain(one, training=False).numpy() * np.sqrt(1 + 1e-5)) - 1e-4
        for one in (batch, batch[:, :, ::-1])
    ]
    expected = np.sqrt(np.mean(squares, axis=0) + 1e-4) / np.sqrt(1 + 1e-5)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_training_normalises_by_the_batch():
    features = build()(images(8), training=True).numpy()

    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)
    assert np.all(features.std(axis=0) < 1.001)


def test_brightness_changes_nothing_and_contrast_little():
    encoder = build()
    give_whitening(encoder)
    before = encoder(images(3) / 2, training=False).numpy()

    brighter = encoder(images(3) / 2 + 0.4, training=False)
    stronger = encoder(images(3), training=False)

    np.testing.assert_allclose(brighter, before, rtol=1e-3, atol=1e-3)
    assert np.abs(stronger - before).max() < 0.02 * np.abs(before).max()


def test_an_image_of_one_colour_has_finite_features_and_slopes():
    encoder = build()
    flat = np.full((2, 11, 12, 3), 0.7, np.float32)

    with tf.GradientTape() as tape:
        features = encoder(flat, training=False)
        loss = tf.reduce_sum(features)
    (slope,) = tape.gradient(loss, encoder.trainable_variables)

    assert np.all(np.isfinite(features))
    assert np.all(np.isfinite(slope))


def test_only_the_dictionary_is_trained_by_gradients():
    (only,) = build().trainable_variables
    assert only.shape == (WIDTH, ATOMS)


def test_half_precision_gives_nearly_the_features():
    encoder = build()
    give_whitening(encoder)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(encoder.get_weights())

    features = half(images(3), training=False)

    expected = encoder(images(3), training=False).numpy()
    np.testing.assert_allclose(
        tf.cast(features, tf.float32), expected, rtol=0.05, atol=0.02 * expected.max()
    )


def test_fewer_patches_than_regions_are_refused_with_both_sizes():
    build(height=8, stride=2, grid=3)
    with pytest.raises(ValueError, match="images of at least 8x8, received 7x12"):
        build(height=7, stride=2, grid=3)
    with pytest.raises(ValueError, match="in a grid of 3x3 needs images of at least"):
        build(height=3, grid=3)
