import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from twofold.components.losses.elbo import kl_to_standard_normal, reconstruction, sample_gaussian


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def keys_of(images):
    return tf.constant(np.random.default_rng(0).integers(0, 2**32, images, dtype=np.uint32))


@given(images=st.integers(1, 4), seed=st.integers(0, 1_000))
@settings(max_examples=20)
def test_reconstruction_equals_the_formula(images, seed):
    logits = 2 * numbers(images, 3, 2, 2, seed=seed)
    pixels = np.random.default_rng(seed).uniform(size=logits.shape)

    loss = reconstruction(tf.constant(logits), tf.constant(pixels)).numpy()

    rate = special.expit(logits)
    likelihood = pixels * np.log(rate) + (1 - pixels) * np.log(1 - rate)
    assert loss == pytest.approx(-likelihood.sum(axis=(1, 2, 3)).mean(), rel=1e-9)


def test_an_undecided_reconstruction_costs_a_bit_a_pixel():
    pixels = tf.constant(np.random.default_rng(0).uniform(size=(5, 4, 4, 3)))

    loss = reconstruction(tf.zeros_like(pixels), pixels).numpy()

    assert loss == pytest.approx(4 * 4 * 3 * math.log(2), rel=1e-12)


def test_a_sure_reconstruction_of_a_binary_image_costs_nothing():
    pixels = tf.constant(np.random.default_rng(0).integers(0, 2, (3, 4, 4, 1)), tf.float32)

    assert reconstruction(200 * (pixels - 0.5), pixels).numpy() == pytest.approx(0, abs=1e-30)


@given(images=st.integers(1, 5), units=st.integers(1, 6), seed=st.integers(0, 1_000))
@settings(max_examples=20)
def test_the_divergence_equals_the_formula(images, units, seed):
    mean, log_variance = numbers(2, images, units, seed=seed)

    loss = kl_to_standard_normal(tf.constant(mean), tf.constant(log_variance)).numpy()

    terms = 1 + log_variance - mean**2 - np.exp(log_variance)
    assert loss == pytest.approx((-terms.sum(axis=1) / 2).mean(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("mean", "variance", "expected"),
    [(0, 1, 0), (2, 1, 2), (0, math.e**2, (math.e**2 - 3) / 2), (1, 0.25, math.log(2) + 0.125)],
)
def test_the_divergence_of_one_unit_has_a_closed_form(mean, variance, expected):
    loss = kl_to_standard_normal(
        tf.constant([[mean]], tf.float64), tf.constant([[math.log(variance)]], tf.float64)
    )

    assert loss.numpy() == pytest.approx(expected, abs=1e-12)


def test_the_divergence_is_exact_near_the_standard_normal():
    nearly = tf.constant([[1e-4]])

    loss = kl_to_standard_normal(tf.constant([[0.0]]), nearly).numpy()

    # Its series begins with a quarter of the square.
    assert loss == pytest.approx(0.25e-8, rel=0.01)


def test_samples_of_a_standard_normal_are_normal_and_independent():
    zeros = tf.zeros((20_000, 3), tf.float64)

    samples = sample_gaussian(zeros, zeros, keys_of(20_000)).numpy()

    for unit in samples.T:
        assert stats.kstest(unit, "norm").pvalue > 1e-3
    correlation = np.corrcoef(np.concatenate([samples, samples**2], axis=1), rowvar=False)
    assert np.abs(correlation - np.eye(6)).max() < 4 / math.sqrt(20_000)


def test_samples_have_the_mean_and_the_variance_they_are_given():
    mean, log_variance = tf.constant(numbers(6, 4)), tf.constant(numbers(6, 4, seed=1))

    samples = sample_gaussian(mean, log_variance, keys_of(6))

    noise = sample_gaussian(tf.zeros_like(mean), tf.zeros_like(mean), keys_of(6))
    np.testing.assert_allclose(samples, mean + np.exp(log_variance / 2) * noise, rtol=1e-12)


def test_a_sample_belongs_to_the_image_and_not_to_its_row():
    mean, keys = tf.constant(numbers(6, 4)), keys_of(6)
    order = [4, 1, 0]

    part = sample_gaussian(tf.gather(mean, order), tf.zeros((3, 4)), tf.gather(keys, order))

    whole = sample_gaussian(mean, tf.zeros((6, 4)), keys)
    np.testing.assert_allclose(part, tf.gather(whole, order), rtol=1e-12)


def test_the_gradient_reaches_mean_and_variance():
    mean, log_variance = tf.zeros((2, 3), tf.float64), tf.constant(numbers(2, 3))
    with tf.GradientTape() as tape:
        tape.watch([mean, log_variance])
        samples = sample_gaussian(mean, log_variance, keys_of(2))

    by_mean, by_log_variance = tape.gradient(samples, [mean, log_variance])
    np.testing.assert_allclose(by_mean, np.ones((2, 3)))
    np.testing.assert_allclose(by_log_variance, samples / 2, rtol=1e-12)


@pytest.mark.parametrize("key", [0, 2**32 - 1])
def test_samples_are_finite_whatever_the_hash(monkeypatch, key):
    monkeypatch.setattr(
        "twofold.components.keyed_random.fold_in",
        lambda keys, data: tf.fill((1, 4), tf.constant(key, tf.uint32)),
    )
    zeros = tf.zeros((1, 2))

    assert np.all(np.abs(sample_gaussian(zeros, zeros, tf.constant([0], tf.uint32))) < 5.8)
