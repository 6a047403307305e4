"""Training settings: batches, optimizer, schedule, and when to stop."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from twofold.components.named_objects import check_names
from twofold.components.settings import OnOffAreText, Section, Texts, local_only
from twofold.components.training.alarms.alarms_settings import ACTIONS, AlarmsSettings
from twofold.components.training.continuing.influence import (
    ChangesCourse,
    ChangesNothing,
    ChangesRounding,
    ChangesWeights,
    Influence,
    InfluenceWhere,
)
from twofold.components.training.tensorboard.tensorboard_settings import (
    FirstAndLast,
    TensorBoardSettings,
)

Deterministic = Literal["auto", "on", "off"]

CallbackNames = Annotated[Texts, pydantic.AfterValidator(check_names)]


class EmaSettings(Section):
    """An exponential moving average of the weights, which is what training ends with."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(
        0.999, gt=0.0, lt=1.0, description="share of the average that stays at each step"
    )


class SwaSettings(Section):
    """Stochastic weight averaging: the mean of snapshots is what training ends with."""

    kind: Literal["swa"] = "swa"
    start_epoch: float = Field(0.0, ge=0.0, description="epochs before the first snapshot")
    period_steps: int = Field(10, ge=1, description="steps from one snapshot to the next")


class PlateauSettings(Section):
    """A lower learning rate when a validation metric stands still."""

    metric: Literal["loss", "accuracy"] = Field(
        "loss", description="the metric to monitor, of the labelled validation images"
    )
    factor: float = Field(0.1, gt=0.0, lt=1.0, description="what the rate is multiplied by")
    patience: ChangesCourse[int] = Field(
        3, ge=1, description="epochs without improvement that lower the rate"
    )


class EarlyStoppingSettings(Section):
    """An end of training when a validation metric stands still."""

    metric: Literal["loss", "accuracy"] = Field(
        "loss", description="the metric to monitor, of the labelled validation images"
    )
    patience: ChangesCourse[int] = Field(
        10, ge=1, description="epochs without improvement that end training"
    )
    keep: Literal["best", "best_if_stopped"] = Field(
        "best",
        description="the weights that training ends with: the best of any epoch; or the last ones "
        "unless it was stopped, as Keras 2 does with restore_best_weights",
    )


class KeepBestSettings(Section):
    """The weights of the best epochs by a validation metric, beside the newest checkpoints."""

    count: ChangesNothing[int] = Field(
        3, ge=1, description="how many stay, each as large as the weights"
    )
    metric: ChangesNothing[Literal["loss", "accuracy"]] = Field(
        "accuracy", description="the metric to rank by, of the labelled validation images"
    )


def _decides(training: TrainingSettings) -> bool:
    """Tells whether a rule decides by what is measured after each epoch."""
    return training.plateau is not None or training.early_stopping is not None


def _actions(training: TrainingSettings) -> set[str]:
    return {training.on_divergence, *(getattr(training.alarms, name) for name in ACTIONS)}


def _rolls_back(training: TrainingSettings) -> bool:
    """Tells whether training may go on from an earlier checkpoint."""
    return "rollback" in _actions(training)


def _acts(training: TrainingSettings) -> bool:
    """Tells whether an alarm may act, which looks at the points of the curves."""
    return _rolls_back(training) or "stop" in {getattr(training.alarms, name) for name in ACTIONS}


class TrainingSettings(Section):
    """Batches, optimizer, schedule, and when to stop."""

    batch_size: ChangesWeights[int] = Field(
        1000, ge=2, description="images a step, over all replicas"
    )
    labelled_batch_size: ChangesWeights[int | None] = Field(
        None,
        ge=1,
        description="how many of them come from the labelled images, the rest from those without "
        "a label, below batch_size; null: all images alike",
    )
    last_batch: ChangesWeights[Literal["drop", "keep"]] = Field(
        "drop",
        description="what becomes of the images of an epoch that fill no batch: left out of it, or "
        "a last, smaller batch",
    )
    start_from: ChangesWeights[Annotated[str, local_only("training.start_from")] | None] = Field(
        None,
        description="whose weights training starts from: the directory of a run, its checkpoints "
        "or one of them, or a PyTorch file of the encoder's; null: weights drawn by the seed",
    )
    start_with: ChangesWeights[Literal["everything", "encoder"]] = Field(
        "everything",
        description="what is taken of a run or a checkpoint where names and shapes fit: all "
        "networks or the encoder alone",
    )
    epochs: ChangesCourse[int] = Field(
        60, ge=1, description="passes over the training images; more of them continue a run"
    )
    optimizer: ChangesWeights[Literal["sgd", "adam", "adamw", "lars", "lamb"]] = Field(
        "adam", description="rule of the update"
    )
    learning_rate: ChangesWeights[float] = Field(
        1e-3, gt=0.0, description="largest rate, before rate_scaling; after any warm-up"
    )
    rate_scaling: ChangesWeights[Literal["none", "linear", "sqrt"]] = Field(
        "none", description="how learning_rate grows with batch_size / 256"
    )
    momentum: ChangesWeights[float] = Field(0.9, ge=0.0, lt=1.0, description="of sgd and lars")
    weight_decay: ChangesWeights[float] = Field(
        0.0, ge=0.0, description="of all optimizers but adam, times the learning rate each step"
    )
    epsilon: ChangesWeights[float | None] = Field(
        None,
        gt=0.0,
        description="added to the divisor of all optimizers but sgd; null: 1e-8, of lamb 1e-6; "
        "Keras's own Adam has 1e-7",
    )
    exclude: ChangesWeights[Texts] = Field(
        ("bias", "norm"),
        description="regular expressions: weights whose path matches one, and all vectors, are "
        "neither decayed nor adapted; empty: all are",
    )
    schedule: ChangesWeights[Literal["cosine", "cosine_wave", "constant"]] = Field(
        "cosine",
        description="the rate after the warm-up: half a cosine to final_learning_rate, and then "
        "that or, as in PyTorch, up again and down; or as it is",
    )
    final_learning_rate: ChangesWeights[float] = Field(
        0.0,
        ge=0.0,
        description="rate at the end of the cosine, before rate_scaling, at most learning_rate",
    )
    warmup_epochs: ChangesWeights[float] = Field(
        0.0, ge=0.0, description="epochs in which the rate rises from zero, at most epochs"
    )
    schedule_epochs: ChangesWeights[float | None] = Field(
        None,
        gt=0.0,
        description="epochs from the start to the end of the cosine, the warm-up among them, above "
        "warmup_epochs; may be more than are trained; null: epochs",
    )
    continue_schedule: ChangesCourse[Literal["stretched", "restarted", "constant"] | None] = Field(
        None,
        description="the rate of a run that is continued with more epochs: the cosine stretched to "
        "the new end, restarted from continue_learning_rate, or this or the rate reached held; "
        "null: as it was, or stretched, or refused once the cosine has ended",
    )
    continue_learning_rate: ChangesCourse[float | None] = Field(
        None,
        gt=0.0,
        description="of continue_schedule, before rate_scaling; null: learning_rate to restart "
        "from, the rate reached to hold",
    )
    schedule_every: ChangesWeights[Literal["step", "epoch"]] = Field(
        "step", description="how often the cosine moves the rate"
    )
    clip_norm: ChangesWeights[float | None] = Field(
        None, gt=0.0, description="largest norm of the whole gradient; null: not clipped"
    )
    accumulate: ChangesWeights[int] = Field(
        1,
        ge=1,
        description="equal parts that a batch is cut into to save memory; adds no negatives",
    )
    averaging: ChangesWeights[
        Annotated[EmaSettings | SwaSettings, Field(discriminator="kind")] | None
    ] = Field(None, description="of the weights, kind: ema or swa; null: the last weights are kept")
    batch_statistics: ChangesWeights[Literal["training", "images"]] = Field(
        "training",
        description="what the finished encoder normalises by: moving averages over the views of "
        "training, or means over the training images as they are",
    )
    plateau: ChangesWeights[PlateauSettings | None] = Field(
        None, description="lowers the rate when a validation metric stands still; null: never"
    )
    early_stopping: ChangesWeights[EarlyStoppingSettings | None] = Field(
        None, description="ends training when a validation metric stands still; null: never"
    )
    precision: ChangesWeights[Literal["float32", "bfloat16", "float16"]] = Field(
        "float32", description="of the networks' arithmetic; weights and losses stay float32"
    )
    compile: ChangesRounding[Literal["auto", "views", "step", "none"]] = Field(
        "auto",
        description="what XLA compiles: views; the step (of several GPUs all but the update, not "
        "yet measured; not of several CPUs); auto: the step on one GPU, else the views",
    )
    replicas: ChangesRounding[int | None] = Field(
        None, ge=1, description="GPUs, or logical devices of a CPU; null: all GPUs, or one"
    )
    recompute_activations: ChangesRounding[bool] = Field(
        False,
        description="whether what the encoder's blocks compute is computed again on the way back, "
        "which takes the memory of one block in place of all and a third more time",
    )
    steps_per_call: ChangesNothing[int | None] = Field(
        None,
        ge=1,
        description="steps that a device makes without its host, fewer where something is due; a "
        "signal waits for their end; null: 8 on GPUs, 1 on CPUs, which gain nothing by more",
    )
    worker_timeout_seconds: ChangesNothing[float] = Field(
        60.0,
        ge=5.0,
        description="seconds without a sign of life after which one of several workers is held for "
        "lost; ten times as many for one that lives and keeps the others waiting for its step",
    )
    deterministic: ChangesRounding[Annotated[Deterministic, OnOffAreText]] = Field(
        "auto",
        description="whether the same seed gives the same bits: on (true), off (false) for speed, "
        "which leaves runs alike statistically; auto: on for CPUs, off for GPUs",
    )
    log_every: Annotated[int, InfluenceWhere(_acts, Influence.COURSE, Influence.NOTHING)] = Field(
        16, ge=1, description="steps from one point of the curves to the next"
    )
    checkpoint_every_epochs: Annotated[
        int, InfluenceWhere(_rolls_back, Influence.COURSE, Influence.NOTHING)
    ] = Field(5, ge=1, description="epochs from one checkpoint to the next; the end has one anyway")
    checkpoint_minutes: Annotated[
        float, InfluenceWhere(_rolls_back, Influence.COURSE, Influence.NOTHING)
    ] = Field(
        10.0,
        gt=0.0,
        description="minutes from one checkpoint to the next, beside those by epochs; of several "
        "workers, by the chief's clock",
    )
    keep_checkpoints: Annotated[
        int, InfluenceWhere(_rolls_back, Influence.COURSE, Influence.NOTHING)
    ] = Field(
        2,
        ge=1,
        description="how many of the newest stay, each as large as weights and optimizer; 2 or "
        "more survive a damaged one",
    )
    keep_best: ChangesWeights[KeepBestSettings | None] = Field(
        None,
        description="keeps the weights of the best epochs as checkpoints/best-STEP, as they were "
        "measured, averaged where training ends with an average; null: none",
    )
    validation_images: Annotated[
        int | None, InfluenceWhere(_decides, Influence.COURSE, Influence.NOTHING)
    ] = Field(
        None,
        ge=1,
        description="most images to look at after each epoch, chosen by their keys; null: all",
    )
    on_divergence: ChangesCourse[Literal["stop", "rollback"]] = Field(
        "stop",
        description="what is done where the loss is no finite number: end with exit status 4, or "
        "go on from the last good checkpoint, once, at alarms.rollback_rate times the rate",
    )
    callbacks: ChangesNothing[CallbackNames] = Field(
        (),
        description="module:name each, of classes without arguments whose on_begin, on_interval, "
        "on_epoch, on_alarm and on_end are told of the training; also in the working directory",
    )
    alarms: ChangesCourse[AlarmsSettings] = Field(
        default_factory=AlarmsSettings,
        description="what else is watched while training goes on, and what is done about it",
    )
    tensorboard: ChangesNothing[TensorBoardSettings] = Field(
        default_factory=TensorBoardSettings, description="what TensorBoard shows besides the curves"
    )
    profile_steps: ChangesNothing[FirstAndLast | None] = Field(
        None,
        description="steps that TensorBoard shows a profile of, in a tab that the extra profile "
        "brings; null: none",
    )

    @pydantic.model_validator(mode="after")
    def _possible(self) -> TrainingSettings:
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"training.batch_size={self.batch_size} cannot be cut into "
                f"training.accumulate={self.accumulate} equal parts"
            )
        labelled = self.labelled_batch_size
        if labelled is not None and labelled >= self.batch_size:
            raise ValueError(
                f"training.labelled_batch_size must be below training.batch_size="
                f"{self.batch_size}, received {labelled}"
            )
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"training.final_learning_rate must be at most training.learning_rate="
                f"{self.learning_rate:g}, received {self.final_learning_rate:g}"
            )
        if self.schedule_epochs is not None and self.schedule_epochs <= self.warmup_epochs:
            raise ValueError(
                f"training.schedule_epochs={self.schedule_epochs:g} counts the warm-up: expected "
                f"more than training.warmup_epochs={self.warmup_epochs:g}"
            )
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError(
                f"training.weight_decay={self.weight_decay:g} has no place in adam: expected 0, or "
                f"training.optimizer=adamw"
            )
        return self
