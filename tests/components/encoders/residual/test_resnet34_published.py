import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder


@pytest.fixture(scope="module")
def resnet():
    return build_encoder("resnet34_published", (32, 32, 3), seed=0)


def test_gives_the_features_that_recipe_c_states(resnet):
    assert resnet.output_shape == (None, 512)


def test_gives_four_times_as_many_where_the_pooling_keeps_the_size_of_the_map():
    with keras.StatelessScope():
        wide = build_encoder("resnet34_published", (32, 32, 3), seed=0, pool_strides=1)
    assert wide.output_shape == (None, 2_048)


def test_has_the_weights_of_its_layers(resnet):
    def convolution(size, before, after):
        return size * size * before * after + after

    def block(before, after):
        return convolution(3, before, after) + convolution(3, after, after) + 2 * 2 * after

    stages = ((64, 64, 3), (64, 128, 4), (128, 256, 6), (256, 512, 3))
    expected = convolution(7, 3, 64) + 2 * 64
    for before, after, count in stages:
        expected += block(before, after) + (count - 1) * block(after, after)
        if before != after:
            expected += convolution(1, before, after)

    trainable = sum(int(np.prod(weight.shape)) for weight in resnet.trainable_weights)
    assert trainable == expected == 21_291_392
    assert resnet.count_params() == 21_306_624


def test_maps_shrink_as_written_in_its_docstring(resnet):
    names = ["stem_pad", "stem_conv", "stem_pool"]
    names += [f"stage{stage}_block1_conv2" for stage in (1, 2, 3, 4)]

    assert [resnet.get_layer(name).output.shape[1] for name in names] == [38, 19, 10, 10, 5, 3, 2]


def test_every_convolution_has_a_bias(resnet):
    convolutions = [layer for layer in resnet.layers if isinstance(layer, keras.layers.Conv2D)]

    assert len(convolutions) == 1 + 32 + 3
    assert all(layer.use_bias for layer in convolutions)


def test_an_image_too_small_is_refused_with_name_and_sizes():
    with pytest.raises(ValueError, match=r"resnet34_published .* 27x27, received 26x32"):
        build_encoder("resnet34_published", (26, 32, 3), seed=0)


def test_an_unknown_stride_is_refused():
    with pytest.raises(ValueError, match="pool_strides must be 1 or 2, received 3"):
        build_encoder("resnet34_published", (32, 32, 3), seed=0, pool_strides=3)
