"""Supervised training."""

import numpy as np
import tensorflow as tf

from tests.components.methods.forms import BATCH, CLASSES, build_form, method_input
from twofold.components.training.method import sample_views

LABELS = np.array([0, -1, 2, 1, -1, -1, 0, 2], np.int32)


def test_images_without_a_label_are_left_out():
    batch = method_input(label=LABELS)
    output = build_form("supervised")(batch)

    fresh = build_form("supervised")
    (view,) = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    logits = fresh.head(fresh.encoder(view, training=True)).numpy()
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    rows = np.flatnonzero(LABELS >= 0)
    expected = -np.log(probabilities[rows, LABELS[rows]]).mean()
    np.testing.assert_allclose(output.loss, expected, rtol=1e-5)
    hits = (logits[rows].argmax(axis=1) == LABELS[rows]).mean()
    np.testing.assert_allclose(output.metrics["accuracy"], hits, rtol=1e-6)
    assert logits.shape == (BATCH, CLASSES)


def test_a_batch_without_any_label_costs_nothing():
    method = build_form("supervised")
    with tf.GradientTape() as tape:
        loss = method(method_input(label=np.full(BATCH, -1, np.int32))).loss
    assert float(loss) == 0
    for gradient in tape.gradient(loss, method.head.trainable_variables):
        assert not gradient.numpy().any()
