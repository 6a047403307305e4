"""The variational autoencoder."""

import numpy as np
import tensorflow as tf

from tests.components.methods.forms import BATCH, IMAGE_SHAPE, build_form, method_input


def test_the_loss_is_the_sum_of_its_two_parts_with_their_weight():
    for weight in (0.5, 4.0):
        output = build_form("vae", kl_weight=weight)(method_input())
        parts = output.metrics
        expected = parts["reconstruction"] + weight * parts["kl"]
        np.testing.assert_allclose(output.loss, expected, rtol=1e-6)
        assert float(parts["kl"]) > 0


def test_the_code_is_drawn_anew_at_each_step_and_alike_at_the_same():
    first, again = (build_form("vae")(method_input()).metrics for _ in range(2))
    assert float(first["reconstruction"]) == float(again["reconstruction"])

    unchanged = lambda images, keys: images  # noqa: E731
    method = build_form("vae", views=(unchanged,))
    batch, later = method_input(0), method_input(1, image=method_input(0).images)
    one, other = method(batch).metrics, method(later).metrics
    np.testing.assert_allclose(one["kl"], other["kl"], rtol=1e-6)
    assert float(one["reconstruction"]) != float(other["reconstruction"])


def test_reconstructions_are_pictures_without_chance():
    method, images = build_form("vae"), method_input().images
    rebuilt = method.reconstruct(images)
    assert rebuilt.shape == (BATCH, *IMAGE_SHAPE)
    assert rebuilt.dtype == tf.float32
    assert 0 <= rebuilt.numpy().min() < rebuilt.numpy().max() <= 1
    np.testing.assert_array_equal(rebuilt, method.reconstruct(images))
