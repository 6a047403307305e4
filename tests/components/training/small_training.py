"""Small training: of one weight matrix, whose step costs nothing, killed and resumed at will."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.resuming.interruption import StopRequest
from twofold.components.training.step import TrainState

STEPS = 9
SETTINGS = LoopSettings(steps=STEPS, steps_per_epoch=9, log_every=4, checkpoint_every=3)


class KilledError(Exception):
    """Stands for a signal."""


class Training:
    """A training of one weight matrix, whose step costs nothing.

    Attributes:
        curve: the loss by step.
        weights: of a finished run.
        best: weights that were kept.
        said: what it told its user.

    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.curve: dict[int, float] = {}
        self.weights = self.best = np.zeros(0)
        self.said: list[str] = []

    def __call__(
        self,
        *,
        at: Callable[[int], None] = lambda step: None,
        settings: LoopSettings = SETTINGS,
        stop: StopRequest | None = None,
        factor: float = 1.1,
        checkpoints: bool = True,
    ) -> np.ndarray:
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(64, use_bias=False)])
        kernel = network.trainable_variables[0]
        kernel.assign(np.arange(128, dtype=np.float32).reshape(2, 64) / 128)
        state = TrainState({"encoder": network}, keras.optimizers.SGD())
        state.build()
        self.state = state

        def train_step(batch):
            kernel.assign(kernel * factor + tf.cast(state.steps, tf.float32))
            state.steps.assign_add(1)
            return {"loss": tf.constant(0.1 * batch["step"], tf.float32)}

        self.checkpoints = Checkpoints(
            self.directory,
            state,
            fingerprint="f1",
            beside=self.directory / "best",
            say=self.said.append,
        )
        run_loop(
            state,
            train_step,
            lambda first: ({"step": step} for step in range(first + 1, STEPS + 1)),
            self.checkpoints,
            settings,
            Callbacks(lambda step, means: self.curve.__setitem__(step, means["loss"]), at),
            stop=stop,
        )
        weights: np.ndarray = kernel.numpy()
        return weights

    def killed(self, after: int) -> None:
        def die(step: int) -> None:
            if step == after:
                raise KilledError

        with pytest.raises(KilledError):
            self(at=die)

    @property
    def there(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir())
