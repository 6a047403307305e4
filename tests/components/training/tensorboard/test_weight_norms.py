"""Norms of weights and updates, by hand."""

import keras
import numpy as np
import pytest

from twofold.components.training.tensorboard.weight_norms import WeightNorms


def network(*weights: float) -> keras.Model:
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(len(weights), use_bias=False)],
    )
    model.set_weights([np.array([weights], np.float32)])
    return model


def test_norms_are_those_of_each_network_and_of_its_update() -> None:
    models = {"encoder": network(3, 4), "head": network(1)}
    norms = WeightNorms(models)
    before = norms.before_update()
    models["encoder"].set_weights([np.array([[3, 8]], np.float32)])

    assert norms.after_update(before) == {
        "rate/weight_norm/encoder": pytest.approx(73**0.5),
        # 4 of 5.
        "rate/update_to_weight/encoder": pytest.approx(0.8),
        "rate/weight_norm/head": 1.0,
        "rate/update_to_weight/head": 0.0,
    }


def test_a_network_without_trained_weights_has_no_norm() -> None:
    fixed = keras.Sequential([keras.Input((1,)), keras.layers.Flatten()])
    norms = WeightNorms({"encoder": network(2), "projector": fixed})

    found = norms.after_update(norms.before_update())
    assert {*found} == {"rate/weight_norm/encoder", "rate/update_to_weight/encoder"}
