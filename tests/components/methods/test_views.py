"""Which views a method draws, and of what."""

import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import build_form, method_input, shift_by_key
from twofold.components import keyed_random
from twofold.components.training.method import sample_views


@pytest.mark.parametrize("compiled", [False, True])
def test_each_policy_draws_its_own_view_of_each_image(compiled):
    batch = method_input()
    drawn = sample_views((shift_by_key, shift_by_key), batch.images, batch.keys, compiled=compiled)

    for number, view in enumerate(drawn):
        factors = (keyed_random.fold_in(batch.keys, number).numpy() % 1000) / 1000
        expected = batch.images.numpy() / 255 * factors[:, None, None, None]
        np.testing.assert_allclose(view, expected, rtol=1e-6)
    assert len(drawn) == 2
    assert drawn[0].dtype == tf.float32


def test_two_policies_draw_in_their_order():
    black = lambda images, keys: tf.zeros_like(images)  # noqa: E731
    white = lambda images, keys: tf.ones_like(images)  # noqa: E731
    batch = method_input()
    first, second = sample_views((black, white), batch.images, batch.keys, compiled=False)
    assert not first.numpy().any()
    assert second.numpy().all()


@pytest.mark.parametrize("form", ["barlow_twins", "byol", "simclr", "supervised", "vae"])
def test_the_features_are_those_of_the_first_view(form):
    method, batch = build_form(form), method_input()
    (view, *_) = sample_views(method.views, batch.images, batch.keys, compiled=False)
    expected = build_form(form).encoder(view, training=True)
    np.testing.assert_allclose(method(batch).features, expected, rtol=1e-5)
