"""Barlow Twins and VICReg."""

import numpy as np
import pytest

from tests.components.methods.forms import build_form, method_input
from twofold.components.losses.redundancy import barlow_twins, correlation_accuracy, vicreg
from twofold.components.training.method import sample_views


@pytest.mark.parametrize(
    ("form", "loss", "settings"),
    [
        ("barlow_twins", barlow_twins, {"off_diagonal": 0.5}),
        ("vicreg", vicreg, {"invariance": 3.0, "variance": 2.0, "covariance": 7.0}),
    ],
)
def test_the_loss_is_that_of_the_projections_with_the_settings(form, loss, settings):
    method, fresh, batch = build_form(form, **settings), build_form(form), method_input()
    output = method(batch)

    views = sample_views(fresh.views, batch.images, batch.keys, compiled=False)
    features = [fresh.encoder(view, training=True) for view in views]
    first, second = (fresh.projector(one, training=True) for one in features)
    np.testing.assert_allclose(output.loss, loss(first, second, **settings), rtol=1e-4)
    if form == "barlow_twins":
        accuracy = output.metrics["correlation_accuracy"]
        np.testing.assert_allclose(accuracy, correlation_accuracy(*features), rtol=1e-5)


def test_the_published_weights_are_the_default():
    assert build_form("barlow_twins").off_diagonal == 0.005
    method = build_form("vicreg")
    assert (method.invariance, method.variance, method.covariance) == (25.0, 25.0, 1.0)
