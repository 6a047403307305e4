import numpy as np
import pytest

from components.encoders.conv4 import build_conv4
from components.encoders.heads import build_linear_head, build_projector

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


def test_the_linear_head_is_one_affine_map():
    head = build_linear_head(16, 3, seed=0)
    weights, bias = head.get_weights()

    assert (weights.shape, bias.shape) == ((16, 3), (3,))
    np.testing.assert_allclose(head(FEATURES), FEATURES @ weights + bias, atol=1e-5)


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: build_projector(16, seed=seed, units=(8,)),
        lambda seed: build_linear_head(16, 8, seed=seed),
    ],
    ids=["projector", "linear head"],
)
def test_the_seed_decides_the_weights(build):
    one, same, other = (build(seed).get_weights()[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_heads_do_not_start_like_the_encoder_of_the_same_seed():
    # Equal draws on equal shapes would be equal up to a factor.
    encoder = build_conv4((31, 31, 1), seed=0, width=16).get_layer("dense").kernel.numpy()
    projector = build_projector(16, seed=0, units=(16,)).get_weights()[0]
    head = build_linear_head(16, 16, seed=0).get_weights()[0]

    correlations = np.corrcoef([part.ravel() for part in (encoder, projector, head)])
    assert np.abs(correlations - np.eye(3)).max() < 0.25


def test_an_unknown_initializer_is_refused():
    with pytest.raises(ValueError, match="unknown initializer 'torch'"):
        build_projector(16, seed=0, units=(4,), initializer="torch")
