import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder


def test_has_the_weights_of_recipe_e():
    core = build_encoder("core", (64, 64, 1), seed=0)

    # 64 -> 60 -> 30 -> 26 -> 13 pixels a side, and 13 * 13 * 16 = 2,704 flattened.
    convolutions = (25 * 1 * 6 + 6) + (25 * 6 * 16 + 16)
    dense = (2_704 * 120 + 120) + (120 * 84 + 84) + (84 * 84 + 84)
    moments = 2 * (6 + 16 + 120 + 84 + 84)
    assert sum(np.prod(weight.shape) for weight in core.trainable_weights) == convolutions + dense
    assert core.count_params() == convolutions + dense + moments == 345_096


@pytest.mark.parametrize("pooling", ["flatten", "average"])
def test_gives_features_as_wide_as_the_last_dense_layer(pooling):
    core = build_encoder(
        "core", (20, 24, 3), seed=0, filters=(4, 8), units=(10, 7), pooling=pooling
    )

    assert core.output_shape == (None, 7)
    features = core(np.zeros((5, 20, 24, 3), np.float32), training=False)
    assert features.shape == (5, 7)
    assert np.all(np.isfinite(features))


def test_starts_as_pytorch_does():
    core = build_encoder("core", (64, 64, 1), seed=0)

    fan_ins = {"conv0": 25, "conv1": 150, "dense0": 2_704, "dense1": 120, "dense2": 84}
    for name, fan_in in fan_ins.items():
        layer = core.get_layer(name)
        kernel = layer.kernel.numpy() * np.sqrt(fan_in)
        assert 0.95 < np.abs(kernel).max() <= 1 + 1e-6
        bias = layer.bias.numpy() * np.sqrt(fan_in)
        assert 0.5 < np.abs(bias).max() <= 1 + 1e-6


def test_the_seed_decides_the_weights():
    one, same, other = (
        build_encoder("core", (16, 16, 1), seed=seed).get_weights() for seed in (1, 1, 2)
    )

    for position, weights in enumerate(one):
        np.testing.assert_array_equal(weights, same[position])
    assert not np.array_equal(one[0], other[0])


def test_batches_are_normalised_without_scale_or_offset():
    core = build_encoder("core", (16, 16, 1), seed=0)

    norms = [layer for layer in core.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 5
    for norm in norms:
        assert (norm.scale, norm.center) == (False, False)
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5)
        assert norm.synchronized
        assert len(norm.weights) == 2


def test_features_of_a_training_batch_are_standardised():
    images = np.random.default_rng(0).random((64, 16, 16, 1), np.float32)

    features = np.asarray(build_encoder("core", (16, 16, 1), seed=0)(images, training=True))

    alive = features.std(axis=0) > 0.5
    assert alive.any()
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(features[:, alive].std(axis=0), 1, atol=0.05)


def test_average_pooling_does_not_see_where_an_object_is():
    shape = np.random.default_rng(0).random((6, 6, 1), np.float32)
    images = np.zeros((2, 48, 48, 1), np.float32)
    images[0, 16:22, 16:22] = shape
    # One step of both poolings: 4 pixels.
    images[1, 20:26, 24:30] = shape

    average, flat = (
        np.asarray(
            build_encoder("core", (48, 48, 1), seed=0, pooling=pooling)(images, training=False)
        )
        for pooling in ("average", "flatten")
    )

    np.testing.assert_allclose(average[0], average[1], atol=1e-5)
    assert np.abs(flat[0] - flat[1]).max() > 1e-3


def test_an_image_too_small_is_refused_with_both_sizes():
    build_encoder("core", (16, 16, 1), seed=0)
    with pytest.raises(ValueError, match="at least 16x16, received 40x15"):
        build_encoder("core", (40, 15, 1), seed=0)
    with pytest.raises(ValueError, match="3 convolutions needs images of at least 36x36"):
        build_encoder("core", (35, 64, 1), seed=0, filters=(2, 2, 2))


def test_an_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match='"flatten" or "average", received \'max\''):
        build_encoder("core", (16, 16, 1), seed=0, pooling="max")
