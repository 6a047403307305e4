"""Geometry of features is that of the evaluation, and looking at networks changes nothing."""

import keras
import numpy as np
import pytest

from twofold.components.evaluation.geometry.alignment_uniformity import uniformity
from twofold.components.evaluation.geometry.collapse import effective_rank, feature_std
from twofold.components.training.alarms.feature_geometry import (
    build_geometry_check,
    feature_geometry,
)

ROWS = np.random.default_rng(3).normal(1.0, 1.0, (20, 6)).astype(np.float32)


def test_it_is_what_evaluation_measures():
    found = feature_geometry(ROWS)
    assert found["deviation"] == pytest.approx(feature_std(ROWS) * np.sqrt(6))
    assert found["effective_rank"] == pytest.approx(effective_rank(ROWS))
    assert found["uniformity"] == pytest.approx(uniformity(ROWS))


def test_a_point_has_collapsed_and_axes_have_not():
    point = feature_geometry(np.ones((5, 4), np.float32))
    assert point["deviation"] == pytest.approx(0.0, abs=1e-9)
    assert point["effective_rank"] == pytest.approx(1.0, abs=1e-4)
    assert point["uniformity"] == pytest.approx(0.0, abs=1e-9)
    axes = feature_geometry(np.concatenate([np.eye(4), -np.eye(4)]))
    # Each feature is 1, -1 and six times 0: a deviation of 1/2, which is 1 / sqrt(4).
    assert axes["deviation"] == pytest.approx(1.0)
    assert axes["effective_rank"] == pytest.approx(4.0, abs=1e-4)


def test_rows_of_zeros_have_collapsed_and_no_numbers_are_none():
    assert feature_geometry(np.zeros((3, 2)))["effective_rank"] == 0.0
    assert feature_geometry(np.zeros((3, 2)))["deviation"] == 0.0
    assert np.isnan(feature_geometry(np.array([[1.0, np.inf], [0.0, 1.0]]))["uniformity"])


def _networks(projector_layers):
    keras.utils.set_random_seed(0)
    encoder = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(6),
            keras.layers.BatchNormalization(),
        ]
    )
    return {
        "encoder": encoder,
        "projector": keras.Sequential([keras.Input((6,)), *projector_layers]),
    }


def test_networks_are_looked_at_by_the_statistics_of_the_images_and_left_as_they_were():
    models = _networks([keras.layers.Dense(3)])
    models["encoder"].layers[-1].moving_mean.assign(np.full(6, 1e3))
    before = [value.copy() for model in models.values() for value in model.get_weights()]
    images = np.random.default_rng(0).integers(0, 256, (16, 2, 2, 1), dtype=np.uint8)
    measure = build_geometry_check(models, images)
    found = measure()
    assert sorted(found) == [
        *("feature_deviation", "feature_effective_rank", "feature_uniformity"),
        *("projection_deviation", "projection_effective_rank", "projection_uniformity"),
    ]
    # By the moving averages all features were far from zero on one side.
    assert found["feature_deviation"] > 0.5
    assert measure() == found
    after = [value for model in models.values() for value in model.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_projector_that_is_the_identity_is_not_looked_at():
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 1), dtype=np.uint8)
    found = build_geometry_check(_networks([keras.layers.Identity()]), images)()
    assert not any(name.startswith("projection") for name in found)
