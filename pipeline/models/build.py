"""Building of networks, optimizer and training state from a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from twofold.components.encoders.build import build_encoder
from twofold.components.encoders.heads import build_linear_head
from twofold.components.errors import SettingsError
from twofold.components.training.averaging import ExponentialMovingAverage, StochasticWeightAverage
from twofold.components.training.continuing.continued_schedule import join_pieces
from twofold.components.training.continuing.phases import Phase, plan_pieces
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import Method, TwoViews
from twofold.components.training.monitors import EarlyStopping, ReduceOnPlateau
from twofold.components.training.optimizers.named_optimizers import build_optimizer
from twofold.components.training.optimizers.schedules import (
    ScaledSchedule,
    build_schedule,
    build_unscaled,
    scaled_rate,
)
from twofold.components.training.precision import keep_gradients
from twofold.components.training.resuming.weights_files import load_encoder
from twofold.components.training.step import Average, OnlineProbe, StepSettings, TrainState
from twofold.components.transforms.policies import build_view
from twofold.pipeline.config import RunConfig, SwaSettings, TrainingSettings
from twofold.pipeline.models.method_builder import draws_repeat


def build_training_views(config: RunConfig) -> TwoViews:
    """Builds what draws the two views of training; of methods with one policy, two by it.

    Returns:
        A function of images uint8 [B, H, W, C] and keys uint32 [B].

    """
    policies = config.method.choose_policies(config.views, config.second_views)
    views = [build_view(view, config.seed) for view in policies]
    method = config.method.load_implementation() if config.method.trains else Method
    drawn: TwoViews = method.training_views(config.method, (views[0], views[-1]))
    return drawn


def check_compilation(training: TrainingSettings, replicas: int) -> None:
    """Refuses to compile what XLA cannot.

    Raises:
        SettingsError: naming the setting.

    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    if training.compile == "step" and replicas > 1 and not on_gpu:
        raise SettingsError(
            f"training.compile=step on {replicas} replicas: expected GPUs, since XLA compiles "
            f"nothing that CPUs exchange; training.compile=auto compiles the views"
        )


def step_settings(config: RunConfig, replicas: int) -> StepSettings:
    """Returns how a step is made; XLA takes a whole step where that helps.

    Raises:
        SettingsError: as ``check_compilation``.

    """
    training = config.training
    check_compilation(training, replicas)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    # On several GPUs only on request, until it was measured there.
    by_itself = training.compile == "auto" and on_gpu and replicas == 1
    return StepSettings(
        seed=config.seed,
        clip_norm=training.clip_norm,
        accumulate=training.accumulate,
        compiled=training.compile == "step" or by_itself,
        repeats=draws_repeat(config),
    )


def build_state(
    config: RunConfig,
    method: Method,
    settings: LoopSettings,
    classes: int,
    replicas: int,
    phases: Sequence[Phase] = (),
) -> TrainState:
    """Builds the optimizer, what follows the weights, and the online probe.

    The probe is there if there is more than one class and the method does not classify on its own.

    Args:
        config: of the run.
        method: to train.
        settings: lengths.
        classes: that labels have.
        replicas: that share a batch.
        phases: of a training that was continued; empty for one by its settings alone.

    """
    training = config.training
    schedule = build_training_schedule(training, settings, phases)
    optimizer = build_optimizer(
        training.optimizer,
        learning_rate=schedule,
        weight_decay=training.weight_decay,
        momentum=training.momentum,
        exclude=training.exclude,
        epsilon=training.epsilon,
    )
    constant = [
        variable
        for name in config.method.constant_rates
        for variable in method.models[name].trainable_variables
    ]
    if constant and training.schedule != "constant":
        steady = training.model_copy(update={"schedule": "constant"})
        # Not by the schedule, but a plateau and a rollback lower it with the rest.
        held = build_training_schedule(steady, settings, scale=schedule.scale)
        optimizer.set_apart(constant, held)
    extra: dict[str, Any] = {"rate_scale": schedule.scale}
    if training.plateau is not None:
        extra["plateau"] = ReduceOnPlateau(
            schedule.scale,
            training.plateau.factor,
            training.plateau.patience,
            mode=_mode(training.plateau.metric),
        )
    if training.early_stopping is not None:
        extra["early_stopping"] = EarlyStopping(
            training.early_stopping.patience, mode=_mode(training.early_stopping.metric)
        )
    state = TrainState(
        models=method.models,
        optimizer=keep_gradients(optimizer, training.precision),
        probe=_probe(config, method, classes, replicas),
        memory=method.memory,
        average=_average(training, method, settings),
        extra=extra,
    )
    state.build()
    return state


def _mode(metric: str) -> Any:
    return "min" if metric == "loss" else "max"


def build_training_schedule(
    training: TrainingSettings,
    settings: LoopSettings,
    phases: Sequence[Phase] = (),
    scale: tf.Variable | None = None,
) -> ScaledSchedule:
    """Builds the learning rate of a stage of training, by its steps; in the strategy's scope.

    Args:
        training: the settings.
        settings: lengths.
        phases: of a training that was continued; empty for one by its settings alone.
        scale: of another schedule, to be lowered together; None for one of its own.

    """
    warmup = round(training.warmup_epochs * settings.steps_per_epoch)

    def scaled(rate: float) -> float:
        return scaled_rate(rate, training.batch_size, rule=training.rate_scaling)

    peak, final = scaled(training.learning_rate), scaled(training.final_learning_rate)
    if training.schedule == "constant":
        return build_schedule(peak, warmup_steps=warmup, scale=scale)
    held = settings.steps_per_epoch if training.schedule_every == "epoch" else 1
    wave = training.schedule == "cosine_wave"

    def begin(end: int) -> Any:
        # A warm-up as long as training leaves nothing to the cosine.
        end = max(warmup + 1, end)
        return build_unscaled(
            peak, warmup_steps=warmup, end_step=end, final=final, held_steps=held, wave=wave
        )

    def restart(steps: int, rate: float | None) -> Any:
        top = peak if rate is None else scaled(rate)
        return build_unscaled(
            top, end_step=max(1, steps), final=min(final, top), held_steps=held, wave=wave
        )

    pieces = plan_pieces(training, phases or [Phase(0, training.epochs)], settings.steps_per_epoch)
    return ScaledSchedule(join_pieces(pieces, begin, restart, scaled), peak, scale)


def _average(training: TrainingSettings, method: Method, settings: LoopSettings) -> Average | None:
    averaging = training.averaging
    if averaging is None:
        return None
    variables = TrainState(method.models, keras.optimizers.SGD()).variables
    if isinstance(averaging, SwaSettings):
        start = snapshot_start(averaging, settings)
        return StochasticWeightAverage(variables, start, averaging.period_steps)
    return ExponentialMovingAverage(variables, averaging.decay)


def snapshot_start(averaging: SwaSettings, settings: LoopSettings) -> int:
    """Returns how many steps of a training come before the first snapshot of its weights."""
    return round(averaging.start_epoch * settings.steps_per_epoch)


def _probe(config: RunConfig, method: Method, classes: int, replicas: int) -> OnlineProbe | None:
    if classes < 2 or "head" in method.models:
        return None
    training = config.training
    features = method.models["encoder"].output_shape[-1]
    labelled = training.labelled_batch_size
    return OnlineProbe(
        head=build_linear_head(features, classes, seed=config.seed),
        optimizer=keras.optimizers.Adam(1e-3),
        view=None if config.probe_views is None else build_view(config.probe_views, config.seed),
        labelled_rows=None if labelled is None else labelled // replicas,
        compile_view=training.compile != "none",
    )


def describe(
    config: RunConfig, image_shape: tuple[int, ...], step_fingerprint: str
) -> dict[str, Any]:
    """Returns what ``rebuild_encoder`` needs, and the fingerprint of what the weights come from."""
    return {
        "fingerprint": step_fingerprint,
        "encoder": {
            "image_shape": list(image_shape),
            "seed": config.seed,
            **config.encoder.model_dump(mode="json"),
        },
        "method": config.method.model_dump(mode="json"),
    }


def rebuild_encoder(checkpoints: Path) -> keras.Model:
    """Rebuilds the trained encoder of a checkpoint directory, in float32."""

    def build(description: Mapping[str, Any]) -> keras.Model:
        return build_encoder(**description["encoder"])

    encoder, _ = load_encoder(checkpoints, build)
    return encoder
