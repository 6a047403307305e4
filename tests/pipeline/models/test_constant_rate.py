"""The rate of SimSiam's predictor, which does not fall with that of the rest."""

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


# After half of the warm-up, at its end, half-way down the cosine, and at the end of training.
@pytest.mark.parametrize(
    ("step", "rate", "of_predictor"), [(1, 0.25, 0.25), (2, 0.5, 0.5), (5, 0.25, 0.5), (8, 0, 0.5)]
)
@pytest.mark.parametrize("predictor_rate", ["constant", "schedule"])
def test_the_predictor_keeps_its_rate_after_the_warm_up(
    step: int, rate: float, of_predictor: float, predictor_rate: str
) -> None:
    # Chen & He (2021), section 4.2.
    config = override(RunConfig(), [*SETTINGS, f"method.predictor_rate={predictor_rate}"])
    method = build_method(config, (32, 32, 1), classes=0, steps=STEPS)
    state = build_state(config, method, LoopSettings(STEPS, 2, 1, 1), classes=0, replicas=1)
    state.optimizer.iterations.assign(step)
    before = [np.asarray(one) for one in state.variables]
    state.optimizer.apply([tf.ones(one.shape) for one in state.variables], state.variables)
    moved = {
        id(one): np.unique(np.round(start - np.asarray(one), 5))
        for one, start in zip(state.variables, before, strict=True)
    }
    for name, model in method.models.items():
        apart = name == "predictor" and predictor_rate == "constant"
        for variable in model.trainable_variables:
            assert moved[id(variable)] == pytest.approx([of_predictor if apart else rate])
