"""The best epochs' weights are kept beside the newest checkpoints, and survive what these do."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.continuing.weight_source import find_weights
from twofold.components.training.resuming.best_checkpoints import (
    Best,
    BestCheckpoints,
    recorded_best,
)
from twofold.components.training.resuming.weights_files import (
    load_encoder,
    write_description,
    write_weights,
)
from twofold.components.training.step import TrainState

ACCURACIES = (0.1, 0.5, 0.4, 0.5, math.nan, 0.7, 0.6)


def network() -> keras.Model:
    return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])


class Training:
    """A training of one weight, which is its step; each step is an epoch."""

    def __init__(self, directory: Path, count: int = 2) -> None:
        self.directory = directory
        self.state = TrainState({"encoder": network()}, keras.optimizers.SGD())
        self.state.build()
        self.best = BestCheckpoints(directory, count, "max")
        self.checkpoints = Checkpoints(directory, self.state, best=self.best)

    def __call__(self, accuracies: Sequence[float], *, saved_at: Sequence[int] = (2, 4, 7)) -> None:
        models = self.state.models
        for step in range(self.checkpoints.restore().step + 1, len(accuracies) + 1):
            models["encoder"].set_weights([np.full((1, 1), step, np.float32)])
            self.state.steps.assign(step)
            self.best.offer(step, accuracies[step - 1], lambda to: write_weights(to, models))
            if step in saved_at:
                self.checkpoints.save()
                self.checkpoints.wait()

    @property
    def there(self) -> list[str]:
        return sorted(path.name for path in self.directory.glob("best-*"))


def test_the_best_are_kept_and_of_equals_the_earlier(tmp_path):
    training = Training(tmp_path)
    training(ACCURACIES)
    training.best.finish()
    assert training.there == ["best-6", "best-7"]
    assert recorded_best(tmp_path) == [Best(6, 0.7), Best(7, 0.6)]

    first = Training(tmp_path / "first", count=1)
    first(ACCURACIES[:4], saved_at=[4])
    assert first.there == ["best-2"], "epoch 4 is as good, and later"


def test_a_training_that_is_killed_and_resumed_keeps_the_same(tmp_path):
    killed = Training(tmp_path)
    killed(ACCURACIES[:6])
    assert {"best-2", "best-4", "best-6"} <= {*killed.there}, "a checkpoint names 2 and 4"
    # After a rollback, epochs may be worse when they are made again.
    resumed = Training(tmp_path)
    resumed((*ACCURACIES[:4], 0.0, 0.0, 0.0))
    resumed.best.finish()
    assert recorded_best(tmp_path) == [Best(2, 0.5), Best(4, 0.5)]
    assert resumed.there == ["best-2", "best-4"]


def test_without_an_intact_checkpoint_all_begins_anew(tmp_path):
    Training(tmp_path)(ACCURACIES[:1])
    anew = Training(tmp_path)
    anew((0.0, 0.2, 0.3))
    assert recorded_best(tmp_path) == [Best(2, 0.2), Best(1, 0.0)]


@pytest.mark.parametrize(("name", "weight"), [("best-6", 6.0), ("best-7", 7.0)])
def test_each_is_a_start_for_other_trainings_and_an_encoder(tmp_path, name, weight):
    Training(tmp_path)(ACCURACIES)
    source = find_weights(str(tmp_path / name))
    assert (source.kind, source.name) == ("checkpoint", name)
    write_description(tmp_path, {"of": "all"})
    encoder, description = load_encoder(tmp_path / name, lambda description: network())
    assert description == {"of": "all"}
    assert float(encoder.get_weights()[0][0, 0]) == weight
