"""The variational autoencoder."""

import contextlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import (
    BATCH,
    FEATURES,
    IMAGE_SHAPE,
    build_form,
    method_input,
)
from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.convolutional.core_settings import CoreSettings
from twofold.components.encoders.heads import build_gaussian_head
from twofold.components.errors import SettingsError
from twofold.components.losses.elbo import kl_to_standard_normal
from twofold.components.methods.build import MethodContext, build_method
from twofold.components.methods.generative.vae_settings import VAESettings
from twofold.components.transforms.views import to_unit_range


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


def test_the_encoders_last_dense_layer_is_the_mean_of_the_code():
    method, images = build_form("vae"), method_input().images
    features = method.encoder(to_unit_range(images), training=False)
    expected = tf.sigmoid(method.decoder(features, training=False))
    np.testing.assert_allclose(method.reconstruct(images), expected, atol=1e-6)
    assert set(method.models) == {"encoder", "log_variance_head", "decoder"}


def test_the_second_head_reads_what_the_last_dense_layer_reads():
    settings = VAESettings(latent=None)
    for units, read, width in (((8, 5, 3), "dense1_norm", 5), ((3,), "flatten", 4 * 4 * 4)):
        encoder = CoreSettings(filters=(4,), units=units)
        method: Any = build_method(settings, _context(encoder))
        assert encoder.last_dense_input == read
        assert method.head.input_shape == (None, width)
        assert method.head.output_shape == (None, 3)
        assert method.decoder.input_shape == (None, 3)


def test_a_code_can_have_two_heads_of_its_own_on_the_features():
    encoder = build_encoder(
        "core", IMAGE_SHAPE, seed=3, filters=(FEATURES,), units=(), pooling="average"
    )
    head = build_gaussian_head(FEATURES, seed=3, units=FEATURES)
    unchanged = lambda images, keys: images  # noqa: E731
    method = build_form("vae", encoder=encoder, trunk=None, head=head, views=(unchanged,))
    batch = method_input()
    output = method(batch)
    features = encoder(to_unit_range(batch.images), training=True)
    mean, log_variance = head(features, training=True)
    np.testing.assert_allclose(
        output.metrics["kl"], kl_to_standard_normal(mean, log_variance), rtol=1e-5
    )
    assert set(method.models) == {"encoder", "gaussian_head", "decoder"}


def _context(encoder):
    return MethodContext(encoder, [lambda images, keys: images], IMAGE_SHAPE, 3, 10, 0)


@pytest.mark.parametrize(("side", "fits"), [(64, True), (62, False)])
def test_images_that_cannot_come_back_at_their_size_are_refused_before_anything_is_built(
    side: int, fits: bool
) -> None:
    # 4m + 12 for the two convolutions of core.
    with (
        contextlib.nullcontext()
        if fits
        else pytest.raises(SettingsError, match=r"among 16, 20, 24 .*, received 64x62")
    ):
        VAESettings().check_image(CoreSettings(), 64, side)
