import keras
import numpy as np
import pytest

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.encoders.heads import (
    build_gaussian_head,
    build_linear_head,
    build_predictor,
    build_projector,
)

FEATURES = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)


def test_recipe_as_projector_has_the_published_number_of_weights():
    assert build_projector(128, seed=0, units=(128, 128)).count_params() == 33_024


def test_no_units_are_the_identity():
    projector = build_projector(16, seed=0)

    np.testing.assert_array_equal(projector(FEATURES), FEATURES)
    assert projector.weights == []


def test_relu_stands_between_the_layers_and_not_after_the_last():
    projector = build_projector(16, seed=0, units=(8, 4))
    first, first_bias, last, last_bias = projector.get_weights()

    expected = np.maximum(FEATURES @ first + first_bias, 0) @ last + last_bias
    np.testing.assert_allclose(projector(FEATURES), expected, atol=1e-5)
    assert expected.min() < 0


def normalised(x):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5)


def test_hidden_layers_can_be_normalised_before_their_relu():
    projector = build_projector(16, seed=0, units=(8, 4), batch_norm=True)
    first, first_bias, scale, offset, _, _, last, last_bias = projector.get_weights()

    hidden = np.maximum(normalised(FEATURES @ first + first_bias) * scale + offset, 0)
    np.testing.assert_allclose(
        projector(FEATURES, training=True), hidden @ last + last_bias, atol=1e-4
    )


@pytest.mark.parametrize("units", [(), (4,), (8, 4)])
def test_projections_can_be_normalised_without_relu_scale_or_offset(units):
    plain = build_projector(16, seed=0, units=units)
    projector = build_projector(16, seed=0, units=units, output_norm="plain")

    expected = normalised(np.asarray(plain(FEATURES)))
    np.testing.assert_allclose(projector(FEATURES, training=True), expected, atol=1e-4)
    assert len(projector.trainable_weights) == len(plain.trainable_weights)


def test_projections_can_be_normalised_with_scale_and_offset():
    plain = build_projector(16, seed=0, units=(8, 4))
    projector = build_projector(16, seed=0, units=(8, 4), output_norm="affine")
    projector.get_layer("output_norm").gamma.assign(np.full(4, 3.0))
    projector.get_layer("output_norm").beta.assign(np.full(4, 0.5))

    expected = 3 * normalised(np.asarray(plain(FEATURES))) + 0.5
    np.testing.assert_allclose(projector(FEATURES, training=True), expected, atol=3e-4)


def test_recipe_cs_projector_normalises_its_two_hidden_layers():
    # Recipe C: 5,000 units each, here 50.
    projector = build_projector(20, seed=0, units=(50, 50, 50), batch_norm=True)

    dense = (20 * 50 + 50) + 2 * (50 * 50 + 50)
    assert projector.count_params() == dense + 2 * 4 * 50
    assert [type(layer).__name__ for layer in projector.layers[1:]] == [
        *("Dense", "BatchNormalization", "ReLU") * 2,
        "Dense",
    ]


def test_the_predictor_normalises_its_hidden_layer_only():
    predictor = build_predictor(16, seed=0, units=(4, 16))
    first, first_bias, scale, offset, _, _, last, last_bias = predictor.get_weights()

    hidden = np.maximum(normalised(FEATURES @ first + first_bias) * scale + offset, 0)
    np.testing.assert_allclose(
        predictor(FEATURES, training=True), hidden @ last + last_bias, atol=1e-4
    )


@pytest.mark.parametrize("units", [(), (32,), (16, 8)])
def test_predictions_of_another_width_than_the_projections_are_refused(units):
    with pytest.raises(ValueError, match=r"units must be the width of the projections, 16, rec"):
        build_predictor(16, seed=0, units=units)


def test_the_gaussian_head_rectifies_and_normalises_mean_and_log_variance():
    head = build_gaussian_head(16, seed=0, units=6)
    outputs = head(FEATURES, training=True)

    assert len(outputs) == 2
    for name, output in zip(("mean", "log_variance"), outputs, strict=True):
        kernel, bias = head.get_layer(f"{name}_dense").get_weights()
        expected = normalised(np.maximum(FEATURES @ kernel + bias, 0))
        np.testing.assert_allclose(output, expected, atol=1e-4)


def test_the_gaussian_head_of_recipe_e_codes_84_numbers():
    head = build_gaussian_head(84, seed=0, units=84)

    assert [output.shape for output in head.outputs] == [(None, 84), (None, 84)]
    # Neither normalisation has scale or offset, but each has two moments.
    assert head.count_params() == 2 * (84 * 84 + 84) + 2 * 2 * 84


@pytest.mark.parametrize(
    "head",
    [
        build_projector(16, seed=0, units=(8, 4), batch_norm=True, output_norm="plain"),
        build_predictor(16, seed=0, units=(8, 16)),
        build_gaussian_head(16, seed=0, units=84),
    ],
    ids=["projector", "predictor", "Gaussian head"],
)
def test_every_normalisation_has_the_references_settings(head):
    norms = [layer for layer in head.layers if isinstance(layer, keras.layers.BatchNormalization)]

    assert norms
    for norm in norms:
        assert (norm.momentum, norm.epsilon, norm.synchronized) == (0.9, 1e-5, True)


def test_momentum_and_epsilon_reach_every_normalisation_of_heads():
    norm = CoreSettings(batch_norm_momentum=0.99, batch_norm_epsilon=1e-3).head_batch_norm
    heads = (
        build_projector(16, seed=0, units=(8, 4), batch_norm=True, output_norm="plain", **norm),
        build_predictor(16, seed=0, units=(8, 16), **norm),
        build_gaussian_head(16, seed=0, units=84, **norm),
    )

    found = [
        (layer.momentum, layer.epsilon)
        for head in heads
        for layer in head.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert found == [(0.99, 1e-3)] * 5


def test_the_linear_head_is_one_affine_map():
    head = build_linear_head(16, 3, seed=0)
    weights, bias = head.get_weights()

    assert (weights.shape, bias.shape) == ((16, 3), (3,))
    np.testing.assert_allclose(head(FEATURES), FEATURES @ weights + bias, atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: build_projector(16, seed=seed, units=(8,)),
        lambda seed: build_predictor(16, seed=seed, units=(16,)),
        lambda seed: build_gaussian_head(16, seed=seed, units=84),
        lambda seed: build_linear_head(16, 8, seed=seed),
    ],
    ids=["projector", "predictor", "Gaussian head", "linear head"],
)
def test_the_seed_decides_the_weights(build):
    one, same, other = (build(seed).get_weights()[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_heads_do_not_start_like_the_encoder_of_the_same_seed():
    # Equal draws on equal shapes would be equal up to a factor.
    encoder = (
        build_encoder("conv4", (31, 31, 1), seed=0, width=16).get_layer("dense").kernel.numpy()
    )
    heads = (
        build_projector(16, seed=0, units=(16,)).get_weights()[0],
        build_predictor(16, seed=0, units=(16,)).get_weights()[0],
        build_gaussian_head(16, seed=0, units=16).get_weights()[0],
        build_linear_head(16, 16, seed=0).get_weights()[0],
    )

    correlations = np.corrcoef([part.ravel() for part in (encoder, *heads)])
    assert np.abs(correlations - np.eye(5)).max() < 0.25


def test_an_unknown_initializer_is_refused():
    with pytest.raises(ValueError, match="unknown initializer 'torch'"):
        build_projector(16, seed=0, units=(4,), initializer="torch")
