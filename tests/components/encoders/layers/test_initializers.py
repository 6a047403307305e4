import math

import numpy as np
import pytest
from scipy import stats

from twofold.components.encoders.layers.initializers import INITIALIZERS, Initializer


def drawn(name, seed, shape=(20, 30), fan_in=20):
    arguments = Initializer(name, seed).arguments(fan_in)
    return {part: np.asarray(initial(shape)) for part, initial in arguments.items()}


def test_pytorchs_default_is_even_within_one_over_the_root_of_the_fan_in():
    weights = drawn("pytorch", 0, shape=(100, 100), fan_in=100)

    assert set(weights) == {"kernel_initializer", "bias_initializer"}
    for values in weights.values():
        assert stats.kstest((values.ravel() + 0.1) / 0.2, "uniform").pvalue > 1e-3
        assert np.abs(values).max() <= 0.1
    assert not np.array_equal(weights["kernel_initializer"], weights["bias_initializer"])


def test_kerass_default_is_glorot_uniform_and_leaves_the_bias_alone():
    weights = drawn("keras", 0, shape=(100, 50))

    assert set(weights) == {"kernel_initializer"}
    bound = math.sqrt(6 / 150)
    shares = (weights["kernel_initializer"].ravel() + bound) / (2 * bound)
    assert stats.kstest(shares, "uniform").pvalue > 1e-3


def test_hes_is_normal_with_a_variance_of_two_over_the_fan_out():
    # A 3x3 convolution to 50 channels: each input is read by 450 weights.
    weights = drawn("he", 0, shape=(3, 3, 40, 50), fan_in=360)

    assert set(weights) == {"kernel_initializer"}
    standardised = weights["kernel_initializer"].ravel() / math.sqrt(2 / 450)
    assert stats.kstest(standardised, "norm").pvalue > 1e-3


@pytest.mark.parametrize("name", INITIALIZERS)
def test_equal_seeds_give_equal_weights_and_others_others(name):
    one, same, other = drawn(name, 3), drawn(name, 3), drawn(name, 4)

    for part in one:
        np.testing.assert_array_equal(one[part], same[part])
        assert not np.array_equal(one[part], other[part])


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_layer_draws_anew(name):
    initial = Initializer(name, 0)
    first, second = (initial.arguments(9)["kernel_initializer"]((4, 4)) for _ in range(2))

    assert not np.array_equal(first, second)


def test_the_largest_seed_of_a_run_is_taken():
    assert np.all(np.abs(drawn("pytorch", 2**31 - 1)["kernel_initializer"]) <= 1 / math.sqrt(20))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'torch'.* keras, pytorch, he"):
        Initializer("torch", 0)
