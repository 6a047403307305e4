import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder

SETTINGS = {"patch": 8, "stride": 6, "filters": (4, 6), "features": 5}


def images(count, height, width, channels=3):
    return np.random.default_rng(height).random((count, height, width, channels), np.float32)


@pytest.fixture(scope="module")
def encoder():
    """A small encoder whose normalisations have seen images."""
    built = build_encoder("bag_of_patches", (20, 23, 3), seed=0, **SETTINGS)
    for _ in range(3):
        built(images(6, 20, 23), training=True)
    return built


@pytest.fixture(scope="module")
def trunk(encoder):
    """The network from patches [B, 8, 8, C] to features [B, D]."""
    features, _ = encoder.get_layer("mean").input
    return keras.Model(encoder.get_layer("patches").output, features)


def cut(batch, rows, columns):
    """Patches cut by hand, the images one after the other: [B * P, 8, 8, C]."""
    return np.stack(
        [
            image[row : row + 8, column : column + 8]
            for image in batch
            for row in rows
            for column in columns
        ]
    )


def test_an_image_of_one_patch_has_the_features_of_the_trunk(encoder, trunk):
    batch = images(3, 8, 8)

    np.testing.assert_array_equal(encoder(batch, training=False), trunk(batch, training=False))


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (20, 20, (0, 6, 12), (0, 6, 12)),
        # The last patch lies at the far edge, wherever the grid ends.
        (21, 23, (0, 6, 12, 13), (0, 6, 12, 15)),
        (8, 9, (0,), (0, 1)),
        (14, 8, (0, 6), (0,)),
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_a_larger_image_has_the_mean_of_its_patches(
    encoder, trunk, height, width, rows, columns, training
):
    batch = images(3, height, width)

    features = encoder(batch, training=training)

    by_patch = trunk(cut(batch, rows, columns), training=training).numpy()
    expected = by_patch.reshape(3, len(rows) * len(columns), -1).mean(axis=1)
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def test_a_pixel_of_each_edge_counts(encoder):
    batch = images(1, 21, 23)
    before = encoder(batch, training=False).numpy()
    for row, column in ((0, 0), (0, 22), (20, 0), (20, 22), (10, 11)):
        changed = batch.copy()
        changed[0, row, column] = 10.0
        assert np.abs(encoder(changed, training=False) - before).max() > 1e-3, (row, column)


def test_features_belong_to_an_image_whatever_the_batch(encoder):
    batch = images(5, 20, 23)

    together = encoder(batch, training=False).numpy()

    assert together.shape == (5, 5)
    assert together.min() >= 0
    assert together.max() > 0
    for row in range(5):
        alone = encoder(batch[row : row + 1], training=False)
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_graph_and_xla_give_the_features_of_eager_execution(encoder, compiled):
    function = tf.function(lambda batch: encoder(batch, training=False), jit_compile=compiled)

    # One graph for each size.
    for size in ((8, 8), (20, 23)):
        batch = images(2, *size)
        np.testing.assert_allclose(
            function(tf.constant(batch)), encoder(batch, training=False), rtol=1e-4, atol=1e-5
        )


def test_half_precision_gives_nearly_the_features(encoder):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = build_encoder("bag_of_patches", (20, 23, 3), seed=0, **SETTINGS)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(encoder.get_weights())
    batch = images(3, 20, 23)

    features = half(batch, training=False)

    assert features.dtype == tf.bfloat16
    expected = encoder(batch, training=False).numpy()
    np.testing.assert_allclose(
        tf.cast(features, tf.float32), expected, rtol=0.05, atol=0.02 * expected.max()
    )


def test_has_the_weights_of_its_layers():
    convolutions = 9 * 3 * 4 + 9 * 4 * 6 + 9 * 6 * 6
    normalisations = 4 * (4 + 6 + 6 + 5)
    small = build_encoder("bag_of_patches", (20, 23, 3), seed=0, **SETTINGS)
    assert small.count_params() == convolutions + normalisations + 6 * 5

    assert build_encoder("bag_of_patches", (32, 32, 3), seed=0).count_params() == 1_432_032


@pytest.mark.parametrize("size", [(7, 30), (30, 7)])
def test_an_image_too_small_is_refused_with_both_sizes(size):
    with pytest.raises(ValueError, match=rf"at least 8x8, received {size[0]}x{size[1]}"):
        build_encoder("bag_of_patches", (*size, 3), seed=0, **SETTINGS)


def test_an_image_too_small_is_refused_when_it_comes_as_well(encoder):
    with pytest.raises(ValueError, match="at least 8x8, one patch, are needed, received 7x30"):
        encoder(images(1, 7, 30))


def test_a_patch_too_small_for_the_blocks_is_refused():
    build_encoder(
        "bag_of_patches", (32, 32, 3), seed=0, patch=4, stride=4, filters=(2, 2, 2), features=3
    )
    with pytest.raises(
        ValueError,
        match="halves a patch 2 times: expected a patch of at least 4 pixels, received 3",
    ):
        build_encoder("bag_of_patches", (32, 32, 3), seed=0, patch=3, filters=(2, 2, 2))


def test_no_filters_are_refused():
    with pytest.raises(ValueError, match=r"bag_of_patches needs filters .* received none"):
        build_encoder("bag_of_patches", (32, 32, 3), seed=0, filters=())


def test_a_stride_that_skips_pixels_is_refused():
    build_encoder(
        "bag_of_patches", (32, 32, 3), seed=0, patch=4, stride=4, filters=(2, 2), features=3
    )
    with pytest.raises(ValueError, match="at most the patch's 4 pixels, received 5"):
        build_encoder("bag_of_patches", (32, 32, 3), seed=0, patch=4, stride=5, filters=(2, 2))
