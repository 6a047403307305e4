"""SimCLR and its forms."""

import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import build_form, method_input
from twofold.components.losses.contrastive import cross_view, few_negatives, nt_xent
from twofold.components.training.method import sample_views


@pytest.mark.parametrize(
    ("form", "loss"),
    [
        ("simclr", nt_xent),
        ("simclr, other view", cross_view),
        ("simclr, few negatives", few_negatives),
    ],
)
def test_each_form_is_its_loss_of_the_two_projections(form, loss):
    method, batch = build_form(form), method_input()
    output = method(batch)

    other = build_form(form)
    views = sample_views(other.views, batch.images, batch.keys, compiled=False)
    both = tf.stack(
        [other.projector(other.encoder(view, training=True), training=True) for view in views]
    )
    few = {"negatives": 3, "keys": batch.keys} if loss is few_negatives else {}
    expected, accuracy = loss(both, both, tf.constant(0), 0.2, **few)
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
    np.testing.assert_allclose(output.metrics["contrastive_accuracy"], accuracy, rtol=1e-5)


def test_views_of_the_same_policy_that_are_equal_are_told_from_all_others():
    bright = lambda images, keys: images  # noqa: E731
    output = build_form("simclr", views=(bright, bright))(method_input())
    assert float(output.metrics["contrastive_accuracy"]) == 1.0


def test_the_forms_differ_on_the_same_projections():
    losses = {
        form: float(build_form(form)(method_input()).loss)
        for form in ("simclr", "simclr, other view", "simclr, few negatives")
    }
    assert len(set(losses.values())) == 3
    # 2N - 2 images repel where the other form has N - 1.
    assert losses["simclr"] > losses["simclr, other view"]
