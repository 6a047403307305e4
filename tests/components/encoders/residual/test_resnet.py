import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.residual.resnet import RESNETS


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize(
    ("name", "features", "weights"),
    # torchvision: 11,689,512, 21,797,672 and 25,557,032 parameters, less the classifier of
    # 1,000 classes (513,000; 513,000; 2,049,000).
    [
        ("resnet18", 512, 11_176_512),
        ("resnet34", 512, 21_284_672),
        ("resnet50", 2_048, 23_508_032),
    ],
)
def test_has_the_published_number_of_weights(name, features, weights):
    # Shapes without values, which would take most of the time.
    with keras.StatelessScope(initialize_variables=False):
        resnet = build_encoder(name, (32, 32, 3), seed=0)

    assert resnet.output_shape == (None, features)
    assert trainable(resnet) == weights


def test_the_small_stem_has_nine_weights_where_the_other_has_forty_nine():
    large, small = (
        build_encoder("resnet18", (32, 32, 3), seed=0, stem=stem, width_multiplier=0.25)
        for stem in ("imagenet", "small")
    )

    assert trainable(large) - trainable(small) == (7 * 7 - 3 * 3) * 3 * 16


@pytest.mark.parametrize(
    ("stem", "size", "sides"),
    [
        # Height and width after the stem and after each stage.
        ("imagenet", (224, 160), [(56, 40), (56, 40), (28, 20), (14, 10), (7, 5)]),
        ("imagenet", (33, 72), [(9, 18), (9, 18), (5, 9), (3, 5), (2, 3)]),
        ("small", (32, 9), [(32, 9), (32, 9), (16, 5), (8, 3), (4, 2)]),
    ],
)
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_each_stage_but_the_first_halves_the_map(name, stem, size, sides):
    resnet = build_encoder(name, (*size, 3), seed=0, stem=stem, width_multiplier=1 / 64)

    last_norms = [f"stage{stage}_block1_norm2" for stage in (1, 2, 3, 4)]
    maps = [resnet.get_layer(norm).output.shape[1:3] for norm in last_norms]
    assert [resnet.get_layer("stage1_block1_conv1").input.shape[1:3], *maps] == sides


@pytest.mark.parametrize("multiplier", [0.25, 0.3, 2])
def test_the_width_multiplier_scales_every_number_of_channels(multiplier):
    resnet = build_encoder("resnet18", (8, 8, 1), seed=0, stem="small", width_multiplier=multiplier)

    channels = {layer.filters for layer in resnet.layers if isinstance(layer, keras.layers.Conv2D)}
    assert channels == {round(count * multiplier) for count in (64, 128, 256, 512)}
    assert resnet.output_shape == (None, round(512 * multiplier))


def test_a_bottleneck_halves_the_map_in_its_3x3_convolution():
    resnet = build_encoder("resnet50", (32, 32, 3), seed=0, stem="small", width_multiplier=1 / 64)

    convolutions = [resnet.get_layer(f"stage2_block1_conv{index}") for index in (1, 2, 3)]
    assert [(layer.kernel_size[0], layer.strides[0]) for layer in convolutions] == [
        (1, 1),
        (3, 2),
        (1, 1),
    ]


def test_no_convolution_has_a_bias_and_weights_start_as_he_et_al_have_them():
    resnet = build_encoder("resnet18", (8, 8, 3), seed=0, stem="small", width_multiplier=0.25)

    for layer in resnet.layers:
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias
    kernel = resnet.get_layer("stage4_block2_conv2").kernel.numpy()
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 128)), rel=0.02)


def test_a_block_adds_to_its_input_what_its_convolutions_give():
    resnet = build_encoder("resnet18", (8, 8, 3), seed=0, stem="small", width_multiplier=1 / 16)
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    # Nothing but shortcuts is left where the last scale of every block is zero.
    for layer in resnet.layers:
        if layer.name.endswith("_norm2"):
            layer.gamma.assign(np.zeros(layer.gamma.shape))

    def convolved(x, name, strides):
        kernel = resnet.get_layer(f"{name}_conv").kernel.numpy()
        if kernel.shape[0] == 1:
            x = x[:, ::strides, ::strides] @ kernel[0, 0]
        else:
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
            x = np.einsum("bhwcij,ijco->bhwo", windows, kernel)
        # Moving statistics start at mean 0 and variance 1.
        return x / np.sqrt(1 + 1e-5)

    x = np.maximum(convolved(images, "stem", 1), 0)
    for stage in (2, 3, 4):
        x = np.maximum(convolved(x, f"stage{stage}_block1_shortcut", 2), 0)
    np.testing.assert_allclose(
        resnet(images, training=False), x.mean(axis=(1, 2)), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", RESNETS)
def test_an_image_too_small_is_refused_with_name_and_sizes(name):
    build_encoder(name, (8, 8, 1), seed=0, stem="small", width_multiplier=1 / 64)
    with pytest.raises(ValueError, match=f'{name} with stem "small".* 8x8, received 64x7'):
        build_encoder(name, (64, 7, 1), seed=0, stem="small")
    with pytest.raises(ValueError, match=f'{name} with stem "imagenet".* 32x32, received 31x64'):
        build_encoder(name, (31, 64, 3), seed=0)


def test_an_unknown_stem_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"resnet18 has no stem 'cifar': .* imagenet, small"):
        build_encoder("resnet18", (32, 32, 3), seed=0, stem="cifar")


@pytest.mark.parametrize("multiplier", [0.0, -1.0, 0.01, float("inf"), float("nan")])
def test_a_width_that_leaves_no_channel_is_refused(multiplier):
    with pytest.raises(ValueError, match=f"width_multiplier .* received {multiplier}"):
        build_encoder("resnet18", (32, 32, 3), seed=0, width_multiplier=multiplier)
