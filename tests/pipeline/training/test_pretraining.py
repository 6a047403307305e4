"""What a pretraining stage ends with."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from twofold.components.training.monitors import EarlyStopping
from twofold.components.training.resuming.weights_files import write_weights
from twofold.pipeline.config import EarlyStoppingSettings, RunConfig, TrainingSettings
from twofold.pipeline.training.pretraining import _take_final_weights
from twofold.pipeline.training.stage import best_weights


def ended(tmp_path: Path, keep: Any, values: list[float]) -> float:
    """Gives the weight that training ends with; that of the best epoch is 1, the last one 2."""
    rule = EarlyStoppingSettings(patience=2, keep=keep)
    stage: Any = SimpleNamespace(
        config=RunConfig(training=TrainingSettings(early_stopping=rule)), checkpoints=tmp_path
    )
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    network.set_weights([np.array([[1.0]])])
    write_weights(best_weights(stage), {"encoder": network})
    network.set_weights([np.array([[2.0]])])
    monitor = EarlyStopping(rule.patience)
    for value in values:
        monitor.observe(value)
    state: Any = SimpleNamespace(
        average=None, models={"encoder": network}, extra={"early_stopping": monitor}
    )
    batches: Any = SimpleNamespace(config=stage.config)

    _take_final_weights(stage, batches, state)

    return float(network.get_weights()[0][0, 0])


@pytest.mark.parametrize(
    ("keep", "values", "weight"),
    [
        ("best", [0.5, 0.6], 1.0),
        ("best", [0.5, 0.6, 0.7], 1.0),
        ("best_if_stopped", [0.5, 0.6], 2.0),
        ("best_if_stopped", [0.5, 0.6, 0.7], 1.0),
    ],
)
def test_early_stopping_keeps_the_best_weights_always_or_where_it_stopped(
    tmp_path: Path, keep: str, values: list[float], weight: float
) -> None:
    assert ended(tmp_path, keep, values) == weight
