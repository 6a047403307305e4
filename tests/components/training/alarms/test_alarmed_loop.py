"""A training that an alarm stops or rolls back, and what it is when it is resumed."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from twofold.components.errors import AlarmError, TrainingDivergedError
from twofold.components.training.alarms.alarm_watch import Alarm, AlarmWatch, Watched
from twofold.components.training.alarms.rules import Check, Collapse, LossSpike
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.resuming.checkpoint_files import list_checkpoints
from twofold.components.training.step import TrainState

STEPS = 24
SETTINGS = LoopSettings(steps=STEPS, steps_per_epoch=STEPS, log_every=2, checkpoint_every=4)


class KilledError(Exception):
    """Stands for a signal."""


class Training:
    """A weight that grows by the learning rate at each step, and diverges above 10."""

    def __init__(self, directory: Path, alarms: AlarmWatch, *, killed_at: int | None = None):
        network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        network.set_weights([np.zeros((1, 1))])
        self.scale = tf.Variable(1.0)
        extra = {"rate_scale": self.scale}
        self.state = TrainState({"encoder": network}, keras.optimizers.SGD(), extra=extra)
        self.state.build()
        self.directory, self.alarms, self.killed_at = directory, alarms, killed_at
        self.steps: list[int] = []
        self.raised: list[Alarm] = []
        self.metrics: dict[int, Any] = {}
        alarms.told = self.raised.append
        self.step: Callable[[Any], dict[str, Any]] = self.train_step

    @property
    def weight(self) -> float:
        return float(self.state.variables[0].numpy()[0, 0])

    def train_step(self, batch: Any) -> dict[str, Any]:
        self.steps.append(batch)
        loss = math.nan if self.weight > 10 else 1.0 + self.weight / 100
        self.state.variables[0].assign_add(self.scale[None, None])
        self.state.steps.assign_add(1)
        return {"loss": loss, "term": -loss}

    def batches(self, first: int) -> Any:
        return range(first + 1, STEPS + 1)

    def progress(self, step: int) -> None:
        if step == self.killed_at:
            raise KilledError

    def run(self) -> dict[str, float]:
        return run_loop(
            self.state,
            self.step,
            self.batches,
            Checkpoints(self.directory, self.state),
            SETTINGS,
            Callbacks(metrics=self.metrics.__setitem__, progress=self.progress),
            alarms=self.alarms,
        )


def watch(action="rollback", **settings) -> AlarmWatch:
    return AlarmWatch(on_divergence=action, rollback_rate=0.125, **settings)


def test_divergence_names_the_step_and_the_terms(tmp_path):
    training = Training(tmp_path, watch("stop"))
    # The weight is 11 when the twelfth step begins.
    with pytest.raises(TrainingDivergedError, match=r"nan at step 12 \(loss nan, term nan\)"):
        training.run()
    assert [(one.name, one.step, one.action) for one in training.raised] == [
        ("divergence", 12, "stop")
    ]
    assert [one.step for one in list_checkpoints(tmp_path)] == [8, 4]


def test_a_rollback_goes_on_from_a_checkpoint_that_a_check_came_after(tmp_path):
    training = Training(tmp_path, watch())
    training.run()
    # Found after step 12; the last good check was after step 10.
    assert training.steps == [*range(1, 13), *range(9, 25)]
    assert training.raised == [
        dataclasses.replace(training.raised[0], action="rollback", rolled_back_to=8)
    ]
    assert training.weight == 8 + 16 / 8
    assert training.scale.numpy() == 0.125


def test_a_rollback_may_go_back_to_the_first_weights(tmp_path):
    training = Training(tmp_path, watch())
    training.state.variables[0].assign([[7.0]])
    training.run()
    assert training.raised[0].rolled_back_to == 0
    assert training.steps == [*range(1, 7), *range(1, 25)], "of checkpoint 4 nothing was known"


@pytest.mark.parametrize("killed_at", [6, 11, 9, 16, 18])
def test_a_killed_rollback_equals_an_uninterrupted_one(tmp_path, killed_at):
    whole = Training(tmp_path / "whole", watch())
    whole.run()
    with pytest.raises(KilledError):
        Training(tmp_path / "killed", watch(), killed_at=killed_at).run()
    resumed = Training(tmp_path / "killed", watch())
    resumed.run()
    assert resumed.weight == whole.weight
    assert resumed.alarms.state() == whole.alarms.state()
    assert whole.metrics.items() >= resumed.metrics.items()


def test_the_second_divergence_stops(tmp_path):
    alarms = watch()
    alarms.rollback_rate = 0.9
    training = Training(tmp_path, alarms)
    with pytest.raises(TrainingDivergedError):
        training.run()
    assert [one.action for one in training.raised] == ["rollback", "stop"]


def diverging_out_of_sight(directory: Path, action: Any) -> Training:
    """Breaks a weight in step 9 that no loss depends on."""
    training = Training(directory, watch(action))
    training.state.variables[0].assign([[-30.0]])
    unused = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    models = {**training.state.models, "unused": unused}
    training.state = dataclasses.replace(training.state, models=models)

    def step(batch: int) -> dict[str, Any]:
        if batch == 9 and training.scale.numpy() == 1.0:
            unused.variables[1].assign([math.inf])
        return training.train_step(batch)

    training.step = step
    return training


def test_weights_that_no_loss_shows_are_noticed_at_the_end_of_the_interval(tmp_path):
    training = diverging_out_of_sight(tmp_path, "stop")
    with pytest.raises(TrainingDivergedError, match=r"finite at step 10 \(unused: .*bias\)"):
        training.run()
    assert training.steps == [*range(1, 11)], "the next checkpoint is after step 12"
    assert 10 not in training.metrics
    assert [(one.name, one.step, one.action) for one in training.raised] == [
        ("divergence", 10, "stop")
    ]


def test_a_rollback_repeats_no_more_than_lies_after_the_last_good_checkpoint(tmp_path):
    training = diverging_out_of_sight(tmp_path, "rollback")
    training.run()
    assert training.steps == [*range(1, 11), *range(5, STEPS + 1)], "of 8 nothing was known"
    assert np.isfinite(training.state.models["unused"].variables[1].numpy()).all()


def collapse(action: Any) -> AlarmWatch:
    rule = Collapse(deviation=0.0, rank=1.5, uniformity=0.0, checks=2)

    def measure() -> dict[str, float]:
        return {"feature_deviation": 1.0, "feature_effective_rank": 1.0}

    watched = {"collapse": Watched(rule, action)}
    return AlarmWatch(watched, measure=measure, measured=lambda step, _: step % 4 == 0)


def test_an_alarm_that_stops_leaves_a_checkpoint_and_stops_again(tmp_path):
    training = Training(tmp_path, collapse("stop"))
    with pytest.raises(AlarmError, match=r"alarm collapse at step 8: .*rank 1, below 1\.5"):
        training.run()
    assert training.steps == [*range(1, 9)]
    again = Training(tmp_path, collapse("stop"))
    with pytest.raises(AlarmError, match="alarm collapse at step 8"):
        again.run()
    assert again.steps == []
    assert again.alarms.state() == training.alarms.state()


def test_where_it_is_to_warn_from_then_on_training_goes_on(tmp_path):
    with pytest.raises(AlarmError):
        Training(tmp_path, collapse("stop")).run()
    training = Training(tmp_path, collapse("warn"))
    training.state.variables[0].assign([[-30.0]])
    with pytest.raises(TrainingDivergedError):
        training.run()
    assert training.steps == [9, 10, 11, 12]


def test_a_warning_changes_nothing(tmp_path):
    training = Training(tmp_path, collapse("warn"))
    training.state.variables[0].assign([[-30.0]])
    training.run()
    assert training.weight == -30 + STEPS
    assert [(one.name, one.step) for one in training.raised] == [("collapse", 8)]
    assert training.metrics[8]["feature_effective_rank"] == 1.0
    assert "feature_effective_rank" not in training.metrics[6]


def test_a_resumed_training_warns_as_an_uninterrupted_one(tmp_path):
    def spiking(directory, killed_at=None):
        rule = LossSpike(score=10.0)
        training = Training(directory, AlarmWatch({"loss_spike": Watched(rule, "warn")}))
        training.killed_at = killed_at
        training.step = lambda batch: training.train_step(batch) | {"loss": 1.0 + (batch > 18)}
        training.state.variables[0].assign([[-30.0]])
        return training

    whole = spiking(tmp_path / "whole")
    whole.run()
    assert [(one.name, one.step) for one in whole.raised] == [("loss_spike", 20)]
    with pytest.raises(KilledError):
        spiking(tmp_path / "killed", killed_at=17).run()
    resumed = spiking(tmp_path / "killed")
    resumed.run()
    assert resumed.raised == whole.raised
    assert resumed.alarms.state() == whole.alarms.state()


def test_time_is_starved_only_where_the_device_was_not_behind():
    class Told:
        STATE: ClassVar[tuple[str, ...]] = ()
        suspicious = False

        def __init__(self) -> None:
            self.shares: list[float] = []

        def check(self, now: Check) -> None:
            self.shares.append(now.starved)

    told = Told()
    alarms = AlarmWatch({"input_starvation": Watched(told, "warn")})
    alarms.timed(waited=3.0, computed=1.0)
    alarms.check(1, {})
    alarms.timed(waited=3.0, computed=0.5, synchronised=0.5)
    alarms.check(2, {})
    alarms.check(3, {})
    assert told.shares == [0.75, 0.0, 0.0]
