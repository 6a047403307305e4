import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder


@pytest.fixture(scope="module")
def resnet():
    return build_encoder("resnet50v2", (40, 72, 3), seed=0)


def test_has_the_published_number_of_weights(resnet):
    assert resnet.output_shape == (None, 2_048)
    assert resnet.count_params() == 23_564_800
    trainable = sum(int(np.prod(weight.shape)) for weight in resnet.trainable_weights)
    assert trainable == 23_519_360


def test_gives_the_features_of_the_network_that_recipe_d_takes_from_keras(resnet):
    # Weights move by layer name, so that every layer has its counterpart.
    reference = keras.applications.ResNet50V2(
        include_top=False, weights=None, input_shape=(40, 72, 3), pooling="avg"
    )
    weighted = [layer for layer in reference.layers if layer.weights]
    for layer in weighted:
        resnet.get_layer(own_name(layer.name)).set_weights(layer.get_weights())
    images = np.random.default_rng(0).random((2, 40, 72, 3), np.float32)

    expected = reference(2 * images - 1, training=False)
    features = resnet(images, training=False)

    assert len(weighted) == len([layer for layer in resnet.layers if layer.weights])
    # Keras's epsilon is 1.001e-5.
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


def own_name(name):
    if name in ("conv1_conv", "post_bn"):
        return {"conv1_conv": "stem_conv", "post_bn": "final_norm"}[name]
    found = re.fullmatch(r"conv(\d)_block(\d)_(.*)", name)
    assert found is not None, name
    stage, block, part = found.groups()
    parts = {"preact_bn": "norm0", "0_conv": "shortcut_conv"}
    numbered = re.sub(r"(\d)_(bn|conv)", lambda m: f"{m[2].replace('bn', 'norm')}{m[1]}", part)
    return f"stage{int(stage) - 1}_block{block}_{parts.get(part, numbered)}"


@pytest.mark.parametrize(
    ("stem", "size", "last"), [("imagenet", (72, 72), (3, 3)), ("small", (32, 9), (4, 2))]
)
def test_the_stem_decides_the_size_of_the_last_map(stem, size, last):
    resnet = build_encoder("resnet50v2", (*size, 3), seed=0, stem=stem, width_multiplier=1 / 64)

    assert resnet.get_layer("final_norm").output.shape[1:3] == last
    assert resnet.output_shape == (None, 32)


def test_an_input_size_takes_images_of_any_size_resized_as_by_tensorflow():
    narrow = {"stem": "small", "width_multiplier": 1 / 64}
    resizing = build_encoder("resnet50v2", (32, 32, 3), seed=0, input_size=48, **narrow)
    plain = build_encoder("resnet50v2", (48, 48, 3), seed=0, **narrow)
    plain.set_weights(resizing.get_weights())
    images = np.random.default_rng(0).random((2, 32, 20, 3), np.float32)
    resized = tf.image.resize(images, [48, 48])

    expected = plain(resized, training=False)

    np.testing.assert_allclose(resizing(images, training=False), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(resizing(resized, training=False), expected)


def test_an_image_too_small_is_refused_with_name_and_sizes():
    with pytest.raises(ValueError, match=r"resnet50v2 with stem .* at least 32x32, received 31x40"):
        build_encoder("resnet50v2", (31, 40, 3), seed=0)
