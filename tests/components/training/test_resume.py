"""A run that was killed and resumed equals one that was not, bit for bit."""

import dataclasses
import math
import shutil
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from tests.components.methods.forms import (
    BATCH,
    CLASSES,
    FEATURES,
    build_form,
    random_split,
    values_of,
)
from tests.op_by_op import op_by_op
from tests.strategies import strategy_of
from twofold.components.data.reading.reader import batches
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import CheckpointError, TrainingDivergedError
from twofold.components.training.averaging import ExponentialMovingAverage, StochasticWeightAverage
from twofold.components.training.checkpoint import Checkpoints
from twofold.components.training.loop import Callbacks, LoopSettings, run_loop
from twofold.components.training.monitors import EarlyStopping, ReduceOnPlateau
from twofold.components.training.optimizers.named_optimizers import build_optimizer
from twofold.components.training.optimizers.schedules import build_schedule
from twofold.components.training.resuming.weights_files import read_weights, write_weights
from twofold.components.training.step import OnlineProbe, StepSettings, TrainState, build_train_step
from twofold.components.training.validation import EpochRules, MonitoredMetric, build_validation

STEPS = 8
SETTINGS = LoopSettings(steps=STEPS, steps_per_epoch=2, log_every=3, checkpoint_every=4)


class KilledError(Exception):
    """Stands for a signal."""


@pytest.fixture
def _untraced():
    """For tests of the loop; those of a step that is traced are the first two."""
    with op_by_op():
        yield


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run left behind."""

    values: dict[str, Any]
    metrics: dict[int, Mapping[str, float]]
    state: TrainState


def _ema(variables):
    return ExponentialMovingAverage(variables, 0.8)


def _swa(variables):
    return StochasticWeightAverage(variables, start_step=2, period=2)


def _rules(state, directory, patience):
    """Validation on other images, a rate lowered on a plateau and an early end."""
    images = random_split(seed=1)
    head = state.models.get("head") or state.probe.head
    return EpochRules(
        build_validation(state.models["encoder"], head, images.images, images.labels, "test"),
        MonitoredMetric("test/loss", state.extra["plateau"]),
        MonitoredMetric("test/accuracy", state.extra["early_stopping"]),
        keep_best=lambda: write_weights(directory / "best", state.models),
    )


def _run(
    directory,
    form="nnclr",
    *,
    replicas=1,
    killed_after=None,
    as_killed=None,
    average=_ema,
    patience=None,
    learning_rate=0.01,
    seed=5,
    steps=STEPS,
):
    """Trains as the product does, with all that may be part of it.

    After step 5 a copy of the directory goes to `as_killed`: what SIGKILL would leave then.
    """
    strategy = strategy_of(replicas)
    with strategy.scope():
        method = build_form(form)
        schedule = build_schedule(learning_rate, warmup_steps=2, end_step=STEPS)
        models = TrainState(method.models, keras.optimizers.SGD())
        probe = None
        if "head" not in method.models:
            head = build_linear_head(FEATURES, CLASSES, seed=seed)
            probe = OnlineProbe(head, keras.optimizers.Adam())
        state = TrainState(
            method.models,
            build_optimizer("adam", learning_rate=schedule),
            probe,
            method.memory,
            average(models.variables),
            {
                "rate_scale": schedule.scale,
                "plateau": ReduceOnPlateau(schedule.scale, 0.5, patience=1, min_delta=10.0),
                "early_stopping": EarlyStopping(patience or STEPS, "max", min_delta=0.0),
            },
        )
        state.build()
    logged: dict[int, Mapping[str, float]] = {}

    def progress(step):
        if killed_after is not None and step >= killed_after:
            raise KilledError
        if as_killed is not None and step == 5:
            checkpoints.wait()
            shutil.copytree(directory, as_killed)

    def batches_from(first_step):
        def feed(context):
            parts = batches(
                random_split(),
                batch_size=BATCH,
                seed=seed,
                first_step=first_step,
                steps=steps - first_step,
                replicas=replicas,
            )
            return parts.map(lambda part: {k: part[k] for k in ("image", "label", "key_hash")})

        return strategy.distribute_datasets_from_function(feed)

    checkpoints = Checkpoints(directory, state)
    run_loop(
        state,
        build_train_step(strategy, method, state, StepSettings(seed=seed)),
        batches_from,
        checkpoints,
        dataclasses.replace(SETTINGS, steps=steps),
        Callbacks(metrics=logged.__setitem__, progress=progress),
        _rules(state, directory, patience),
    )
    return Run(values_of(state), logged, state)


def _assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(
    ("form", "average", "replicas"),
    [
        ("nnclr", _swa, 1),
        ("moco", _ema, 1),
        pytest.param("byol", _ema, 1, marks=pytest.mark.long),
        ("self_training", _swa, 1),
        ("nnclr", _ema, 2),
    ],
    ids=["nnclr, SWA", "moco, EMA", "byol, EMA", "self-training, SWA", "nnclr, two replicas"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, form, average, replicas):
    settings = {"form": form, "average": average, "replicas": replicas}
    expected = _run(tmp_path / "whole", as_killed=tmp_path / "killed", **settings)
    resumed = _run(tmp_path / "killed", **settings)

    _assert_equal(resumed.values, expected.values)
    assert sorted(resumed.metrics) == [6, 8], "it went on from step 4"
    assert resumed.metrics == {step: expected.metrics[step] for step in resumed.metrics}
    for name, extra in expected.state.extra.items():
        for one, other in zip(
            getattr(extra, "variables", [extra]),
            getattr(resumed.state.extra[name], "variables", [resumed.state.extra[name]]),
            strict=True,
        ):
            assert one.numpy() == other.numpy(), name
    # The rate was lowered after the second, the third and the fourth epoch.
    assert resumed.state.extra["rate_scale"].numpy() == 0.125


def test_a_run_goes_on_with_the_same_batches_on_another_number_of_replicas(tmp_path):
    settings = {"form": "supervised", "seed": 7}
    expected = _run(tmp_path / "whole", as_killed=tmp_path / "killed", **settings)
    resumed = _run(tmp_path / "killed", replicas=2, **settings)
    assert sorted(resumed.metrics) == [6, 8], "it went on from step 4"
    assert resumed.values.keys() == expected.values.keys()
    # A tenth of a step of Adam, whose every step is 0.01; another batch would make more than that.
    for name, value in expected.values.items():
        np.testing.assert_allclose(resumed.values[name], value, 1e-3, 1e-3, err_msg=name)


@pytest.mark.usefixtures("_untraced")
def test_the_rate_that_is_reported_is_that_of_the_update_just_made(tmp_path):
    metrics = _run(tmp_path, "supervised").metrics

    def scheduled(updates_before):
        return 0.01 * (1 + math.cos(math.pi * (updates_before - 2) / (STEPS - 2))) / 2

    assert {step: means["learning_rate"] for step, means in metrics.items()} == pytest.approx(
        # Half the way up, and then lowered after the epochs that end with steps 4 and 6.
        {2: 0.01 / 2, 3: 0.01, 4: scheduled(3), 6: 0.5 * scheduled(5), 8: 0.25 * scheduled(7)}
    )


@pytest.mark.usefixtures("_untraced")
def test_a_run_killed_before_its_first_checkpoint_starts_over(tmp_path):
    with pytest.raises(KilledError):
        _run(tmp_path, "supervised", killed_after=1)
    resumed = _run(tmp_path, "supervised")
    expected = _run(tmp_path / "whole", "supervised")
    _assert_equal(resumed.values, expected.values)
    assert resumed.metrics == expected.metrics


@pytest.mark.usefixtures("_untraced")
def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path):
    first = _run(tmp_path / "first", "supervised")
    _assert_equal(first.values, _run(tmp_path / "second", "supervised").values)
    other = _run(tmp_path / "other", "supervised", seed=6)
    assert not np.array_equal(first.values["encoder/0"], other.values["encoder/0"])


@pytest.mark.usefixtures("_untraced")
def test_a_finished_run_trains_no_further(tmp_path):
    expected = _run(tmp_path, "supervised")
    again = _run(tmp_path, "supervised")
    _assert_equal(again.values, expected.values)
    assert again.metrics == {}


@pytest.mark.usefixtures("_untraced")
def test_early_stopping_ends_the_run_for_good_and_keeps_the_best_weights(tmp_path):
    # At a rate as low as this no further image is classified correctly.
    stopped = _run(tmp_path, "supervised", patience=1, learning_rate=1e-9)
    assert stopped.state.step == 4, "the second epoch was no better than the first"
    assert sorted(stopped.metrics) == [2, 3, 4]

    resumed = _run(tmp_path, "supervised", patience=1, learning_rate=1e-9)
    assert resumed.metrics == {}
    _assert_equal(resumed.values, stopped.values)

    best = build_form("supervised").models
    read_weights(tmp_path / "best", best)
    first_epoch = _run(tmp_path / "short", "supervised", learning_rate=1e-9, steps=2).state
    for name, model in best.items():
        for one, other in zip(model.variables, first_epoch.models[name].variables, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("_untraced")
def test_metrics_are_logged_at_intervals_epochs_and_checkpoints(tmp_path):
    metrics = _run(tmp_path, "nnclr").metrics
    assert sorted(metrics) == [2, 3, 4, 6, 8]
    every_time = {
        "loss",
        "learning_rate",
        "contrastive_accuracy",
        "correlation_accuracy",
        "feature_std",
        "gradient_norm",
        "online_probe/loss",
        "online_probe/accuracy",
    }
    assert metrics[3].keys() == every_time
    assert metrics[8].keys() == every_time | {"test/loss", "test/accuracy"}


@pytest.mark.usefixtures("_untraced")
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint_before(tmp_path):
    with pytest.raises(TrainingDivergedError, match=r"training\.learning_rate"):
        _run(tmp_path, "supervised", learning_rate=float("inf"))
    assert not list(tmp_path.glob("ckpt-4*"))


@pytest.mark.usefixtures("_untraced")
def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    _run(tmp_path, "supervised")
    with pytest.raises(CheckpointError, match="expected a checkpoint of this model"):
        _run(tmp_path, "vicreg")
