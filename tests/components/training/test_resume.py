"""A run that was killed and resumed equals one that was not, bit for bit."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import distribute
from components.data.reader import Split, batches
from components.encoders import build_encoder
from components.encoders.heads import build_linear_head, build_projector
from components.methods.simclr import SimCLR
from components.training.checkpoint import (
    CheckpointError,
    Checkpoints,
    load_encoder,
    write_description,
)
from components.training.loop import Callbacks, LoopSettings, TrainingDivergedError, run_loop
from components.training.optimizers import build_adam
from components.training.step import OnlineProbe, TrainState, build_train_step
from components.transforms.affine import AffineRanges
from components.transforms.views import affine_view
from tests.strategies import strategy_of

STEPS = 8
SETTINGS = LoopSettings(steps=STEPS, steps_per_epoch=4, log_every=3, checkpoint_every=2)


class KilledError(Exception):
    """Stands for a signal."""


def _split() -> Split:
    generator = np.random.default_rng(0)
    return Split(
        images=generator.integers(0, 256, (33, 16, 16, 1), dtype=np.uint8),
        labels=generator.integers(0, 3, 33, dtype=np.int32),
        keys=np.array([f"image/{index}" for index in range(33)]),
        latents=np.zeros((33, 0), np.float32),
        class_names=("a", "b", "c"),
        latent_names=(),
        name="train",
    )


def _run(
    directory: Path,
    *,
    replicas: int = 1,
    killed_after: int | None = None,
    seed: int = 5,
    learning_rate: float = 0.01,
) -> tuple[list[np.ndarray], dict[int, Mapping[str, float]]]:
    """Trains a small network as the product does; returns its weights and its metrics by step."""
    strategy = strategy_of(replicas)
    with strategy.scope():
        encoder = build_encoder("core", (16, 16, 1), seed=seed, filters=(4,), units=(8,))
        projector = build_projector(8, seed=seed, units=(8, 8))
        state = TrainState(
            {"encoder": encoder, "projector": projector},
            build_adam(learning_rate=learning_rate, warmup_steps=2, decay_steps=STEPS),
            OnlineProbe(build_linear_head(8, 3, seed=seed), keras.optimizers.Adam()),
        )
        state.build()
    method = SimCLR(encoder, projector, affine_view(AffineRanges()), temperature=0.5)
    logged: dict[int, Mapping[str, float]] = {}

    def progress(step: int) -> None:
        if killed_after is not None and step >= killed_after:
            raise KilledError

    def batches_from(first_step: int) -> tf.data.Dataset:
        def feed(context: tf.distribute.InputContext) -> tf.data.Dataset:
            parts = batches(
                _split(),
                batch_size=8,
                seed=seed,
                first_step=first_step,
                steps=STEPS - first_step,
                replicas=replicas,
            )
            return parts.map(lambda part: {k: part[k] for k in ("image", "label", "identity")})

        return strategy.distribute_datasets_from_function(feed)

    run_loop(
        state,
        build_train_step(strategy, method, state, seed=seed),
        batches_from,
        Checkpoints(directory, state),
        SETTINGS,
        Callbacks(metrics=logged.__setitem__, progress=progress),
    )
    everything = [*encoder.variables, *projector.variables, *state.optimizer.variables]
    return [np.asarray(variable) for variable in everything], logged


def _assert_equal(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("killed_after", "replicas"),
    [(1, 1), (5, 1), (5, 2)],
    ids=["before the first checkpoint", "after a checkpoint", "on two replicas"],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path: Path, killed_after: int, replicas: int
) -> None:
    expected, expected_metrics = _run(tmp_path / "whole", replicas=replicas)
    with pytest.raises(KilledError):
        _run(tmp_path / "killed", replicas=replicas, killed_after=killed_after)
    resumed, metrics = _run(tmp_path / "killed", replicas=replicas)
    _assert_equal(resumed, expected)
    assert metrics, "the resumed run had something left to do"
    assert metrics == {step: expected_metrics[step] for step in metrics}


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    first, _ = _run(tmp_path / "first")
    _assert_equal(first, _run(tmp_path / "second")[0])
    other, _ = _run(tmp_path / "other", seed=6)
    assert not np.array_equal(first[0], other[0])


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    expected, _ = _run(tmp_path)
    again, metrics = _run(tmp_path)
    _assert_equal(again, expected)
    assert metrics == {}


def test_metrics_are_logged_at_intervals_epochs_and_checkpoints(tmp_path: Path) -> None:
    _, metrics = _run(tmp_path)
    assert sorted(metrics) == [2, 3, 4, 6, 8]
    assert metrics[8].keys() == {
        "loss",
        "contrastive_accuracy",
        "feature_std",
        "online_probe/loss",
        "online_probe/accuracy",
    }


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint_before(
    tmp_path: Path,
) -> None:
    with pytest.raises(TrainingDivergedError, match=r"training\.learning_rate"):
        _run(tmp_path, learning_rate=float("inf"))
    assert not list(tmp_path.glob("ckpt-4*"))


def test_the_encoder_is_rebuilt_with_its_weights_alone(tmp_path: Path) -> None:
    weights, _ = _run(tmp_path)
    write_description(tmp_path, {"image_shape": [16, 16, 1], "filters": [4], "units": [8]})
    encoder, description = load_encoder(
        tmp_path, lambda values: build_encoder("core", seed=0, **values)
    )
    assert description["units"] == [8]
    for variable, expected in zip(encoder.variables, weights, strict=False):
        np.testing.assert_array_equal(np.asarray(variable), expected)


def _build(units: int) -> Callable[[Mapping[str, object]], keras.Model]:
    return lambda _: build_encoder("core", (16, 16, 1), seed=0, filters=(4,), units=(units,))


def test_a_directory_without_checkpoint_or_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.json"):
        load_encoder(tmp_path, _build(8))
    write_description(tmp_path, {})
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_encoder(tmp_path, _build(8))
    _run(tmp_path)
    with pytest.raises(CheckpointError, match="do not fit"):
        load_encoder(tmp_path, _build(9))
    (tmp_path / "model.json").write_text(json.dumps({})[:1])
    with pytest.raises(CheckpointError, match="damaged"):
        load_encoder(tmp_path, _build(8))


def test_more_replicas_than_devices_are_refused() -> None:
    with pytest.raises(ValueError, match=r"training\.replicas=64 needs 64"):
        distribute.make_strategy(64)
    with pytest.raises(ValueError, match="at least 1"):
        distribute.make_strategy(0)
