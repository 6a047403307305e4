import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder


def test_has_the_published_number_of_weights():
    assert build_encoder("conv4", (96, 96, 3), seed=0).count_params() == 856_064


def test_gives_non_negative_features_of_the_asked_width():
    conv4 = build_encoder("conv4", (40, 32, 1), seed=0, width=24)

    features = np.asarray(conv4(np.random.default_rng(0).random((3, 40, 32, 1), np.float32)))

    assert features.shape == (3, 24)
    assert features.min() >= 0.0
    assert features.max() > 0.0


def test_has_four_strided_valid_convolutions():
    convolutions = [
        layer
        for layer in build_encoder("conv4", (96, 96, 3), seed=0).layers
        if isinstance(layer, keras.layers.Conv2D)
    ]

    assert [layer.output.shape[1:] for layer in convolutions] == [
        (47, 47, 128),
        (23, 23, 128),
        (11, 11, 128),
        (5, 5, 128),
    ]


def test_can_start_as_pytorch_does():
    conv4 = build_encoder("conv4", (31, 31, 3), seed=0, initializer="pytorch")

    for name, fan_in in {"conv0": 27, "conv1": 1_152, "dense": 128}.items():
        layer = conv4.get_layer(name)
        for values in (layer.kernel.numpy(), layer.bias.numpy()):
            assert 0.9 < np.abs(values).max() * np.sqrt(fan_in) <= 1 + 1e-6


def test_the_seed_decides_the_weights():
    one, same, other = (
        build_encoder("conv4", (31, 31, 1), seed=seed, width=8).get_weights() for seed in (1, 1, 2)
    )

    for position, weights in enumerate(one):
        np.testing.assert_array_equal(weights, same[position])
    assert not np.array_equal(one[0], other[0])


def test_an_image_too_small_is_refused_with_both_sizes():
    build_encoder("conv4", (31, 31, 1), seed=0, width=4)
    with pytest.raises(ValueError, match="at least 31x31, received 30x96"):
        build_encoder("conv4", (30, 96, 1), seed=0)
