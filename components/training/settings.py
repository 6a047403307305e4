"""Training settings: batches, optimizer, schedule, and when to stop."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from twofold.components.settings import Section, Texts


class EmaSettings(Section):
    """An exponential moving average of the weights, which is what training ends with."""

    kind: Literal["ema"] = "ema"
    decay: float = Field(0.999, gt=0.0, lt=1.0)


class SwaSettings(Section):
    """Stochastic weight averaging: the mean of snapshots is what training ends with."""

    kind: Literal["swa"] = "swa"
    start_epoch: float = Field(0.0, ge=0.0, description="of the first snapshot")
    period_steps: int = Field(10, ge=1, description="steps between snapshots")


class PlateauSettings(Section):
    """A lower learning rate when a validation metric stands still."""

    metric: Literal["loss", "accuracy"] = "loss"
    factor: float = Field(0.1, gt=0.0, lt=1.0)
    patience: int = Field(3, ge=1, description="epochs")


class EarlyStoppingSettings(Section):
    """An end of training when a validation metric stands still; the best weights are kept."""

    metric: Literal["loss", "accuracy"] = "loss"
    patience: int = Field(10, ge=1, description="epochs")


class TrainingSettings(Section):
    """Batches, optimizer and how long."""

    batch_size: int = Field(1000, ge=2, description="images a step over all replicas")
    labelled_batch_size: int | None = Field(
        None,
        ge=1,
        description="of these, how many come from the labelled images, the rest from those "
        "without a label; none: all images alike",
    )
    epochs: int = Field(60, ge=1)
    optimizer: Literal["sgd", "adam", "adamw", "lars", "lamb"] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0)
    rate_scaling: Literal["none", "linear", "sqrt"] = Field(
        "none", description="of learning_rate with batch_size / 256"
    )
    momentum: float = Field(0.9, ge=0.0, lt=1.0, description="sgd, lars")
    weight_decay: float = Field(0.0, ge=0.0, description="all but adam")
    exclude: Texts = Field(
        ("bias", "norm"),
        description="weights whose path matches, and all vectors, are neither decayed nor adapted; "
        "empty: all are",
    )
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0.0)
    schedule_epochs: float | None = Field(
        None, gt=0.0, description="epochs to the end of the cosine; none: training.epochs"
    )
    clip_norm: float | None = Field(None, gt=0.0, description="of the whole gradient")
    accumulate: int = Field(
        1, ge=1, description="parts a batch is cut into to save memory; adds no negatives"
    )
    averaging: Annotated[EmaSettings | SwaSettings, Field(discriminator="kind")] | None = None
    plateau: PlateauSettings | None = None
    early_stopping: EarlyStoppingSettings | None = None
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the networks' arithmetic; weights and losses stay float32"
    )
    compile: Literal["auto", "views", "step", "none"] = Field(
        "auto", description="what XLA compiles; auto: the step on one GPU, else the views"
    )
    replicas: int | None = Field(
        None, ge=1, description="none: all GPUs; on a CPU this many logical devices"
    )
    log_every: int = Field(16, ge=1, description="steps")
    checkpoint_every_epochs: int = Field(5, ge=1)
    validation_images: int | None = Field(
        None, ge=1, description="most to look at after each epoch, chosen by their keys; none: all"
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
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError(
                f"training.weight_decay={self.weight_decay:g} has no place in adam: expected 0, or "
                f"training.optimizer=adamw"
            )
        return self
