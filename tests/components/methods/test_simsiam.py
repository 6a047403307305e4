"""SimSiam."""

import numpy as np
import tensorflow as tf

from tests.components.methods.forms import build_form, method_input
from twofold.components.training.method import sample_views


def test_it_is_the_mean_negative_cosine_whose_targets_are_constants():
    method, fresh, batch = build_form("simsiam"), build_form("simsiam"), method_input()
    with tf.GradientTape() as tape:
        loss = method(batch).loss
    gradients = tape.gradient(loss, method.projector.trainable_variables)

    views = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    features = [fresh.encoder(view, training=True) for view in views]
    # The targets as numbers: what the gradient must not see.
    targets = [
        tf.math.l2_normalize(fresh.projector(one, training=True), axis=1).numpy()
        for one in features
    ]
    with tf.GradientTape() as tape:
        predicted = [
            tf.math.l2_normalize(
                fresh.predictor(fresh.projector(one, training=True), training=True), axis=1
            )
            for one in features
        ]
        cosines = [
            tf.reduce_mean(tf.reduce_sum(one * other, axis=1))
            for one, other in zip(predicted, reversed(targets), strict=True)
        ]
        expected = -(cosines[0] + cosines[1]) / 2
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    for one, other in zip(
        gradients, tape.gradient(expected, fresh.projector.trainable_variables), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6)
