import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.settings import ENCODERS
from twofold.components.training.optimizers.layer_rates import LayerwiseAdam, encoder_depths


def depths_by_path(encoder):
    depths = encoder_depths(encoder)
    paths = [variable.path for variable in encoder.trainable_variables]
    return dict(zip(paths, depths, strict=True))


def test_a_convolution_and_its_bias_are_one_block_and_the_last_is_next_to_the_head():
    encoder = build_encoder("conv4", (32, 32, 3), seed=0, width=4)
    expected = {"conv0": 5, "conv1": 4, "conv2": 3, "conv3": 2, "dense": 1}
    assert depths_by_path(encoder) == {
        f"{layer}/{kind}": depth for layer, depth in expected.items() for kind in ("kernel", "bias")
    }


def test_a_residual_block_is_one_with_its_shortcut_and_its_normalisations():
    encoder = build_encoder("resnet18", (32, 32, 3), seed=0, stem="small", width_multiplier=1 / 16)
    found = depths_by_path(encoder)
    # Eight blocks and the stem.
    assert {found["stem_conv/kernel"], found["stem_norm/gamma"]} == {9}
    second = {depth for path, depth in found.items() if path.startswith("stage2_block1_")}
    assert second == {6}
    assert "stage2_block1_shortcut_conv/kernel" in found
    assert found["stage4_block2_norm2/beta"] == 1


@pytest.mark.parametrize("name", ENCODERS)
def test_depths_fall_from_the_image_to_the_head_without_a_gap(name):
    encoder = build_encoder(name, (40, 40, 3), seed=0)
    depths = encoder_depths(encoder)
    assert len(depths) == len(encoder.trainable_variables)
    assert sorted(set(depths)) == [*range(1, max(depths) + 1)]
    assert depths[0] == max(depths)
    assert max(depths) == {"conv4": 5, "core": 5, "resnet18": 9}.get(name, max(depths))
    if name.startswith("resnet") and name != "resnet18":
        assert max(depths) in (17, 18)


def weights(values=(1.0, -2.0)):
    return [keras.Variable(np.array([value, value + 1], np.float32)) for value in values]


def gradients(step):
    random = np.random.default_rng(step)
    return [tf.constant(random.normal(size=2), tf.float32) for _ in range(2)]


def test_the_step_of_each_weight_is_adams_times_its_factor():
    factors, rate = (1.0, 0.25), 0.01
    found, plain = weights(), weights()
    layerwise = LayerwiseAdam(rate, factors)
    layerwise.build(found)
    adams = [keras.optimizers.Adam(rate * factor, epsilon=1e-8) for factor in factors]
    for adam, variable in zip(adams, plain, strict=True):
        adam.build([variable])
    for step in range(4):
        layerwise.apply(gradients(step), found)
        for adam, gradient, variable in zip(adams, gradients(step), plain, strict=True):
            adam.apply([gradient], [variable])
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)
    # Adam's first step is the rate, whatever the gradient.
    fresh = weights()
    optimizer = LayerwiseAdam(rate, factors)
    optimizer.build(fresh)
    optimizer.apply(gradients(0), fresh)
    moved = [abs(one.numpy() - start.numpy()) for one, start in zip(fresh, weights(), strict=True)]
    np.testing.assert_allclose(moved, [[rate] * 2, [rate / 4] * 2], rtol=1e-3)


def test_another_number_of_factors_is_refused():
    with pytest.raises(ValueError, match="each of 2 weights, received 1"):
        LayerwiseAdam(0.1, [1.0]).build(weights())
