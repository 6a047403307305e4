import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.convolutional.decoder import build_decoder


def layers(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_has_the_layers_of_recipe_e():
    decoder = build_decoder((64, 64, 1), seed=0, latent=84, filters=(6, 16))

    dense = (84 * 84 + 84) + (84 * 120 + 120) + (120 * 2_704 + 2_704)
    transposed = (25 * 16 * 6 + 6) + (25 * 6 * 1 + 1)
    moments = 2 * (84 + 120 + 16 + 6)
    assert decoder.count_params() == dense + transposed + moments
    shapes = [layer.output.shape[1:] for layer in decoder.layers[-6:]]
    assert shapes == [
        (13, 13, 16),
        (13, 13, 16),
        (30, 30, 6),
        (30, 30, 6),
        (30, 30, 6),
        (64, 64, 1),
    ]


@pytest.mark.parametrize(
    ("image_shape", "filters"),
    [((64, 64, 1), (6, 16)), ((16, 20, 3), (2, 3)), ((36, 44, 1), (2, 3, 4)), ((10, 6, 2), (5,))],
)
def test_mirrors_the_encoder_core(image_shape, filters):
    core = build_encoder("core", image_shape, seed=0, filters=filters, units=(7,))
    decoder = build_decoder(image_shape, seed=0, latent=7, filters=filters, units=(5,))

    assert decoder.output_shape == (None, *image_shape)
    last = layers(core, keras.layers.AveragePooling2D)[-1]
    assert layers(decoder, keras.layers.Reshape)[0].output.shape == last.output.shape


def test_the_last_step_is_upsampling_normalisation_and_transposed_convolution():
    decoder = build_decoder((6, 6, 1), seed=0, latent=3, filters=(2,), units=())
    weights, bias, *_, kernel, offset = decoder.get_weights()
    codes = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)

    small = np.maximum(codes @ weights + bias, 0)
    # One pixel, doubled; equal pixels have the mean and the variance of one of them.
    small = (small - small.mean(axis=0)) / np.sqrt(small.var(axis=0) + 1e-5)
    expected = np.full((4, 6, 6, 1), offset[0])
    for row in range(2):
        for column in range(2):
            spread = np.einsum("bi,klci->bklc", small, kernel)
            expected[:, row : row + 5, column : column + 5] += spread

    np.testing.assert_allclose(decoder(codes, training=True), expected, atol=1e-4)


def test_normalisations_have_the_references_settings_without_scale_or_offset():
    norms = layers(
        build_decoder((16, 16, 1), seed=0, latent=4, filters=(6, 16)),
        keras.layers.BatchNormalization,
    )

    assert len(norms) == 4
    for norm in norms:
        assert (norm.momentum, norm.epsilon, norm.synchronized) == (0.9, 1e-5, True)
        assert (norm.center, norm.scale) == (False, False)


def test_starts_as_pytorch_does():
    decoder = build_decoder((64, 64, 1), seed=0, latent=84, filters=(6, 16))

    # PyTorch takes 25 times the *output* channels for a transposed convolution.
    for name, fan_in in {"dense0": 84, "map": 120, "conv0": 25 * 6, "conv1": 25}.items():
        for values in (
            decoder.get_layer(name).kernel.numpy(),
            decoder.get_layer(name).bias.numpy(),
        ):
            assert np.abs(values).max() <= 1 / np.sqrt(fan_in) * (1 + 1e-6)
        assert np.abs(decoder.get_layer(name).kernel.numpy()).max() > 0.95 / np.sqrt(fan_in)


def test_the_seed_decides_the_weights():
    one, same, other = (
        build_decoder((16, 16, 1), seed=seed, latent=4, filters=(6, 16)).get_weights()
        for seed in (1, 1, 2)
    )

    for position, weights in enumerate(one):
        np.testing.assert_array_equal(weights, same[position])
    assert not np.array_equal(one[0], other[0])


def test_graph_and_xla_give_the_logits_of_eager_execution():
    decoder = build_decoder((16, 20, 3), seed=0, latent=5, filters=(2, 3), units=(4,))
    codes = tf.constant(np.random.default_rng(0).normal(size=(6, 5)), tf.float32)

    def logits(codes):
        return decoder(codes, training=True)

    for compiled in (False, True):
        np.testing.assert_allclose(
            tf.function(logits, jit_compile=compiled)(codes), logits(codes), atol=1e-5
        )


def test_computes_in_the_global_dtype():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        decoder = build_decoder((16, 16, 1), seed=0, latent=4, filters=(6, 16))
        logits = decoder(np.ones((3, 4), np.float32), training=True)
    finally:
        keras.config.set_dtype_policy(before)

    assert logits.dtype == "bfloat16"
    assert np.all(np.isfinite(tf.cast(logits, tf.float32)))


@pytest.mark.parametrize("size", [(63, 64), (64, 66), (12, 16)])
def test_a_size_that_would_not_come_back_is_refused_with_those_that_do(size):
    with pytest.raises(
        ValueError, match=rf"2 convolutions .* 16, 20, 24 and so on.* received {size[0]}x{size[1]}"
    ):
        build_decoder((*size, 1), seed=0, latent=4, filters=(6, 16))
