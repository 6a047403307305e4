"""Several steps in one call are the same steps, and whatever is due after one is done after it."""

import shutil
from collections.abc import Mapping

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.components.methods.forms import (
    BATCH,
    CLASSES,
    FEATURES,
    build_form,
    random_split,
    values_of,
)
from tests.strategies import strategy_of
from twofold.components.data.reading.reader import batches
from twofold.components.encoders.heads import build_linear_head
from twofold.components.training.averaging import ExponentialMovingAverage
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.optimizers.named_optimizers import build_optimizer
from twofold.components.training.optimizers.schedules import build_schedule
from twofold.components.training.resuming.interruption import Interruption, StopRequest
from twofold.components.training.several_steps import build_several_steps
from twofold.components.training.step import OnlineProbe, StepSettings, TrainState, build_train_step

SETTINGS = LoopSettings(steps=12, steps_per_epoch=12, log_every=6, checkpoint_every=5)


def _probe():
    return OnlineProbe(build_linear_head(FEATURES, CLASSES, seed=5), keras.optimizers.Adam())


class Training:
    """What a training left behind.

    Args:
        directory: of its checkpoints, maybe of an earlier one.
        most: steps in one call; 1: as without.
        form: of a method.
        replicas: logical devices.
        copied: where the directory is copied to once step 6 is made, as a kill would leave it.

    """

    def __init__(self, directory, most, *, form="supervised", replicas=1, copied=None):
        strategy = strategy_of(replicas)
        with strategy.scope():
            method = build_form(form)
            schedule = build_schedule(0.01, warmup_steps=2, end_step=SETTINGS.steps)
            plain = TrainState(method.models, keras.optimizers.SGD())
            self.state = TrainState(
                method.models,
                build_optimizer("adam", learning_rate=schedule),
                None if "head" in method.models else _probe(),
                method.memory,
                ExponentialMovingAverage(plain.variables, 0.8) if form == "nnclr" else None,
            )
            self.state.build()
        self.metrics: dict[int, Mapping[str, float]] = {}
        self.calls: list[int] = []
        step = build_train_step(strategy, method, self.state, StepSettings(seed=5))
        several = build_several_steps(strategy, step, most) if most > 1 else None

        def progress(made):
            self.calls.append(made)
            if copied is not None and made == 6:
                shutil.copytree(directory, copied)

        def batches_from(first):
            def feed(context):
                parts = batches(
                    random_split(),
                    batch_size=BATCH,
                    seed=5,
                    first_step=first,
                    steps=SETTINGS.steps - first,
                    replicas=replicas,
                )
                return parts.map(lambda part: {k: part[k] for k in ("image", "label", "key_hash")})

            return strategy.distribute_datasets_from_function(feed)

        run_loop(
            self.state,
            step,
            batches_from,
            Checkpoints(directory, self.state, keep=9),
            LoopSettings(**{**vars(SETTINGS), "steps_per_call": most}),
            Callbacks(metrics=self.metrics.__setitem__, progress=progress),
            several=several,
        )
        self.values = values_of(self.state)
        self.checkpoints = sorted(path.name for path in directory.glob("ckpt-*"))


def assert_equal(one, other):
    assert one.values.keys() == other.values.keys()
    for name, value in one.values.items():
        np.testing.assert_array_equal(value, other.values[name], err_msg=name)


@pytest.mark.parametrize("form", ["supervised", pytest.param("nnclr", marks=pytest.mark.long)])
def test_they_are_the_same_steps_bit_for_bit_and_go_on_from_any(tmp_path, form):
    one = Training(tmp_path / "one", 1, form=form)
    several = Training(tmp_path / "several", 4, form=form, copied=tmp_path / "killed")
    resumed = Training(tmp_path / "killed", 3, form=form)

    assert one.calls == [*range(13)]
    # Alone are the first, which compiles, and those that end an interval; a checkpoint ends a call.
    assert several.calls == [0, 1, 5, 6, 10, 11, 12]
    assert resumed.calls == [5, 6, 9, 10, 11, 12]
    assert several.metrics == one.metrics
    assert resumed.metrics == one.metrics
    assert several.checkpoints == one.checkpoints == ["ckpt-10", "ckpt-12", "ckpt-5"]
    assert_equal(several, one)
    assert_equal(resumed, one)


@pytest.mark.parametrize("form", ["supervised", pytest.param("nnclr", marks=pytest.mark.long)])
def test_they_are_the_same_steps_bit_for_bit_on_two_replicas(tmp_path, form):
    one = Training(tmp_path / "one", 1, form=form, replicas=2)
    several = Training(tmp_path / "several", 4, form=form, replicas=2)
    assert several.metrics == one.metrics
    assert_equal(several, one)


def counting(state):
    """A step that costs nothing: its loss is its number."""

    @tf.function(autograph=False)
    def step(batch):
        state.steps.assign_add(1)
        return {"loss": tf.cast(batch["number"], tf.float32), "count": tf.size(batch["number"])}

    return step


def numbered(first, last):
    return [{"number": tf.constant(number)} for number in range(first, last + 1)]


@pytest.fixture
def state():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    found = TrainState({"encoder": model}, keras.optimizers.SGD())
    found.build()
    return found


def test_fewer_than_the_most_make_no_more_and_need_no_other_graph(state):
    step = counting(state)
    several = build_several_steps(tf.distribute.get_strategy(), step, 3)
    for first, last in ((1, 3), (4, 4), (5, 6)):
        metrics = several(numbered(first, last))
        assert metrics["loss"].numpy().tolist() == [*range(first, last + 1)]
        assert metrics["count"].numpy().tolist() == [1] * (last - first + 1)
        assert state.step == last
    assert step.experimental_get_tracing_count() == 1


def test_a_profiled_step_is_alone_and_metrics_of_every_step_are_averaged(tmp_path, state):
    settings = LoopSettings(12, 12, 12, 12, steps_per_call=5, alone=range(4, 6))
    calls: list[int] = []
    means: dict[int, Mapping[str, float]] = {}
    several = build_several_steps(tf.distribute.get_strategy(), counting(state), 5)
    run_loop(
        state,
        counting(state),
        lambda first: numbered(first + 1, 12),
        Checkpoints(tmp_path, state),
        settings,
        Callbacks(metrics=means.__setitem__, progress=calls.append),
        several=several,
    )
    assert calls == [0, 1, 3, 4, 5, 10, 11, 12]
    assert means[12]["loss"] == 6.5


def test_a_request_to_end_waits_for_one_call(tmp_path, state):
    stop = StopRequest()
    calls: list[int] = []

    def progress(step):
        calls.append(step)
        if step == 5:
            stop.take_over("SIGTERM", 143)

    with pytest.raises(Interruption, match="at step 9"):
        run_loop(
            state,
            counting(state),
            lambda first: numbered(first + 1, 12),
            Checkpoints(tmp_path, state),
            LoopSettings(12, 12, 12, 12, steps_per_call=4),
            Callbacks(metrics=lambda step, means: None, progress=progress),
            stop=stop,
            several=build_several_steps(tf.distribute.get_strategy(), counting(state), 4),
        )
    assert calls == [0, 1, 5]
