"""The rate of SimSiam's predictor, which does not fall with that of the rest."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.training.loop import LoopSettings
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.models.build import build_state
from twofold.pipeline.models.method_builder import build_method

STEPS = 8
SETTINGS = (
    "method.name=simsiam",
    "encoder={name: conv4, width: 2}",
    "training.optimizer=sgd",
    "training.momentum=0.0",
    "training.learning_rate=0.5",
    "training.epochs=4",
    "training.warmup_epochs=1",
)


def moves(step: int, predictor_rate: str, scale: float = 1.0) -> dict[str, float]:
    """Makes an update by gradients of 1, and tells how far each network's weights have moved."""
    config = override(RunConfig(), [*SETTINGS, f"method.predictor_rate={predictor_rate}"])
    method = build_method(config, (32, 32, 1), classes=0, steps=STEPS)
    state = build_state(config, method, LoopSettings(STEPS, 2, 1, 1), classes=0, replicas=1)
    state.optimizer.iterations.assign(step)
    state.extra["rate_scale"].assign(scale)
    before = {name: _weights(model) for name, model in method.models.items()}
    state.optimizer.apply([tf.ones(one.shape) for one in state.variables], state.variables)
    moved = {name: before[name] - _weights(model) for name, model in method.models.items()}
    for one in moved.values():
        np.testing.assert_allclose(one, one[0], atol=1e-5)
    return {name: float(one[0]) for name, one in moved.items()}


def _weights(model: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(one) for one in model.trainable_variables])


# After half of the warm-up, at its end, half-way down the cosine, and at the end of training.
@pytest.mark.parametrize(
    ("step", "rate", "of_predictor"), [(1, 0.25, 0.25), (2, 0.5, 0.5), (5, 0.25, 0.5), (8, 0, 0.5)]
)
@pytest.mark.parametrize("predictor_rate", ["constant", "schedule"])
def test_the_predictor_keeps_its_rate_after_the_warm_up(
    step: int, rate: float, of_predictor: float, predictor_rate: str
) -> None:
    # Chen & He (2021), section 4.2.
    expected = {
        "encoder": rate,
        "projector": rate,
        "predictor": of_predictor if predictor_rate == "constant" else rate,
    }
    assert moves(step, predictor_rate) == pytest.approx(expected, abs=1e-5)


def test_a_rollback_and_a_plateau_lower_the_predictors_rate_too() -> None:
    expected = {"encoder": 0.025, "projector": 0.025, "predictor": 0.05}
    assert moves(5, "constant", scale=0.1) == pytest.approx(expected, abs=1e-5)
