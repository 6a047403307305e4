import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.convolutional.speedrun import WhitenedPixels, cosine_basis

SMALL = {"filters": (4, 6)}


def images(count, height, width, channels=3):
    return np.random.default_rng(height).random((count, height, width, channels), np.float32)


@pytest.fixture(scope="module")
def encoder():
    """A small encoder whose normalisations have seen images."""
    built = build_encoder("speedrun", (20, 23, 3), seed=0, **SMALL)
    for _ in range(3):
        built(images(6, 20, 23), training=True)
    return built


def test_has_the_weights_of_its_layers():
    # The stem gives 12 channels and their negatives, and its normalisation only has statistics.
    convolutions = 9 * (24 * 64 + 64 * 64 + 64 * 160 + 160 * 160 + 160 * 256 + 256 * 256)
    normalisations = 4 * 2 * (64 + 160 + 256) + 2 * 12

    network = build_encoder("speedrun", (32, 32, 3), seed=0)

    assert network.count_params() == convolutions + normalisations == 1_335_576
    trained = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert trained == convolutions + 2 * 2 * (64 + 160 + 256)
    assert network.output_shape == (None, 512)


def test_each_block_halves_what_a_stem_of_two_pixels_leaves(encoder):
    maps = keras.Model(
        encoder.input, encoder.get_layer("pool").input[0]._keras_history.operation.input
    )

    # 20 x 23 to 19 x 22, 9 x 11, 4 x 5; mirror images lie behind the images.
    assert maps(images(2, 20, 23), training=True).shape == (2, 4, 5, 6)
    assert maps(images(2, 20, 23), training=False).shape == (4, 4, 5, 6)


def test_features_are_the_maximum_and_the_mean_of_the_last_map():
    one_block = build_encoder("speedrun", (9, 9, 3), seed=0, filters=(5,), mirrored=False)
    last = keras.Model(
        one_block.input, one_block.get_layer("pool").input[0]._keras_history.operation.input
    )
    batch = images(2, 9, 9)

    features = one_block(batch, training=False).numpy()

    values = last(batch, training=False).numpy().reshape(2, 16, 5)
    np.testing.assert_allclose(features, np.hstack([values.max(1), values.mean(1)]), rtol=1e-5)


def test_the_basis_is_that_of_the_cosine_transform():
    half, third, sixth = 1 / np.sqrt([2, 3, 6])
    np.testing.assert_allclose(cosine_basis(2), [[half, half], [half, -half]], atol=1e-12)
    np.testing.assert_allclose(
        cosine_basis(3),
        [[third, third, third], [half, 0, -half], [sixth, -2 * sixth, sixth]],
        atol=1e-12,
    )


def test_the_stem_keeps_what_a_patch_holds():
    batch = images(2, 3, 4)

    whitened = WhitenedPixels(name="stem")(batch).numpy()

    assert whitened.shape == (2, 2, 3, 12)
    # An orthonormal basis keeps lengths, and its first vector is the mean of 12 numbers.
    patch = batch[1, 1:3, 2:4]
    np.testing.assert_allclose(np.sum(whitened[1, 1, 2] ** 2), np.sum(patch**2), rtol=1e-5)
    np.testing.assert_allclose(whitened[1, 1, 2, 0], patch.sum() / np.sqrt(12), rtol=1e-5)


def test_an_image_and_its_mirror_image_have_the_same_features(encoder):
    batch = images(3, 20, 23)

    np.testing.assert_array_equal(
        encoder(batch, training=False), encoder(batch[:, :, ::-1], training=False)
    )
    in_training = encoder(batch, training=True), encoder(batch[:, :, ::-1], training=True)
    assert np.abs(in_training[0] - in_training[1]).max() > 1e-3


def test_features_are_the_mean_of_both_mirror_images_features(encoder):
    plain = build_encoder("speedrun", (20, 23, 3), seed=0, mirrored=False, **SMALL)
    plain.set_weights(encoder.get_weights())
    batch = images(3, 20, 23)

    both = plain(batch, training=False), plain(batch[:, :, ::-1], training=False)

    np.testing.assert_allclose(
        encoder(batch, training=False), (both[0] + both[1]) / 2, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("size", [(5, 5), (8, 9), (20, 23)])
def test_images_of_other_sizes_are_taken(encoder, size):
    assert encoder(images(2, *size), training=False).shape == (2, 12)


def test_the_stem_stays_in_single_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build_encoder("speedrun", (20, 23, 3), seed=0, **SMALL)
    finally:
        keras.config.set_dtype_policy("float32")

    assert half.get_layer("stem").compute_dtype == "float32"
    assert half.get_layer("block1_conv1").compute_dtype == "bfloat16"


def test_an_image_too_small_is_refused_with_both_sizes():
    build_encoder("speedrun", (5, 5, 3), seed=0, **SMALL)
    with pytest.raises(ValueError, match=r"with 2 blocks needs images of at least 5x5, .* 4x30"):
        build_encoder("speedrun", (4, 30, 3), seed=0, **SMALL)


def test_no_filters_are_refused():
    with pytest.raises(ValueError, match=r"speedrun needs filters .* received none"):
        build_encoder("speedrun", (32, 32, 3), seed=0, filters=())
