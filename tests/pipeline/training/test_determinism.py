"""Deterministic ops are what a training asks for, and by itself on CPUs alone."""

import pytest
import tensorflow as tf
from tensorflow.python.framework import config as framework

from twofold.components.training.settings import Deterministic
from twofold.pipeline.config import RunConfig, override
from twofold.pipeline.training.determinism import set_determinism


@pytest.mark.parametrize(
    ("written", "gpus", "expected"),
    [
        ("auto", 0, True),
        ("auto", 1, False),
        ("on", 1, True),
        ("true", 1, True),
        ("off", 0, False),
        ("false", 0, False),
    ],
)
def test_ops_are_deterministic_as_is_asked_for(
    written: str, gpus: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"] * gpus)
    config = override(RunConfig(), [f"training.deterministic={written}"])
    # Whatever a training before it in this process asked for.
    for before in (True, False):
        other: Deterministic = "on" if before else "off"
        assert set_determinism(other) is before
        assert set_determinism(config.training.deterministic) is expected
        assert framework.is_op_determinism_enabled() is expected
