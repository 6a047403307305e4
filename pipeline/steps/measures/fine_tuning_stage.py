"""Fine-tuning stages: trainings with labels, of the pretrained encoder and of first weights."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from twofold.components.data.reading.label_subset import labelled_rows
from twofold.components.data.reading.split import Split
from twofold.components.errors import TrainingDivergedError
from twofold.components.evaluation.probes.fine_tuning import start_head
from twofold.components.evaluation.probes.linear_probe import fit_logistic_regression
from twofold.components.methods.labelled.supervised_settings import SupervisedSettings
from twofold.components.training.loop import LoopSettings
from twofold.components.training.method import Method
from twofold.components.training.monitors import EarlyStopping
from twofold.components.training.optimizers.layer_rates import LayerwiseAdam, encoder_depths
from twofold.components.training.precision import keep_gradients
from twofold.components.training.resuming.weights_files import read_final, write_weights
from twofold.components.training.step import TrainState
from twofold.components.training.validation import EpochRules, MonitoredMetric, build_validation
from twofold.components.transforms.policies_settings import NoViewsSettings
from twofold.pipeline.config import RunConfig, TrainingSettings
from twofold.pipeline.runs.run_context import Context
from twofold.pipeline.runs.run_directory import fingerprint
from twofold.pipeline.steps.reuse.fingerprints import (
    part_code,
    settings_seen,
    training_images,
)
from twofold.pipeline.training.course_reports import attendance
from twofold.pipeline.training.input_pipeline import InputPipeline
from twofold.pipeline.training.prepared_images import TrainingImages
from twofold.pipeline.training.stage import (
    Stage,
    StagePlan,
    best_weights,
    train_stage,
)
from twofold.pipeline.training.stage_callbacks import stage_callbacks
from twofold.pipeline.training.stage_configs import TRAINING_SECTION

# In a run's folder: the fine-tuned encoder with its head, what was measured of others, curves and
# intervals.
FINETUNED = "finetuned"
MEASURED = "finetuned-measured"
CURVES = {"fine-tuned": "tensorboard-finetune", "from scratch": "tensorboard-finetune-scratch"}
INTERVALS = {
    "fine-tuned": "metrics-finetune.jsonl",
    "from scratch": "metrics-finetune-scratch.jsonl",
}
PREFIXES = {"fine-tuned": "finetune", "from scratch": "finetune_scratch"}


@dataclasses.dataclass(frozen=True)
class Job:
    """One training with labels.

    Attributes:
        start: a key of ``CURVES``.
        epochs: passes over the labelled images.
        share: of the labels.
        draw: which subset of the labels, and which order of the images; 0 for the run's own.
        whole: whether it is the one with all labels, whose course is kept.

    """

    start: str
    epochs: int
    share: float = 1.0
    draw: int = 0
    whole: bool = True

    @property
    def pretrained(self) -> bool:
        """Whether it goes on from pretraining's weights."""
        return self.start == "fine-tuned"

    @property
    def kept(self) -> bool:
        """Whether its weights outlive the measure."""
        return self.whole and self.pretrained


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a job.

    Attributes:
        train: all training images, with those labels that the job has.
        held_out: measured on at the end.
        validation: to choose by and to monitor; None where there is only the held-out split.
        embeddings: of ``train``, by the pretrained encoder.

    """

    train: Split
    held_out: Split
    validation: Split | None
    embeddings: np.ndarray


def configure(context: Context, job: Job, train: Split) -> RunConfig:
    """Gives the configuration of a job: that of a supervised run of its own."""
    whole = context.config
    config = whole.evaluation
    return whole.model_copy(
        update={
            "seed": whole.seed + job.draw,
            "method": SupervisedSettings(),
            "views": config.finetune_views or whole.probe_views or NoViewsSettings(),
            "second_views": None,
            "probe_views": None,
            "training": TrainingSettings(
                batch_size=min(config.finetune_batch_size, len(labelled_rows(train))),
                epochs=job.epochs,
                learning_rate=config.finetune_learning_rate,
                schedule="constant",
                epsilon=whole.training.epsilon if whole.training.optimizer == "adam" else None,
                precision=whole.training.precision,
                compile=whole.training.compile,
                deterministic=whole.training.deterministic,
                recompute_activations=whole.training.recompute_activations,
                steps_per_call=whole.training.steps_per_call,
                log_every=whole.training.log_every,
                checkpoint_every_epochs=whole.training.checkpoint_every_epochs,
                checkpoint_minutes=whole.training.checkpoint_minutes,
                keep_checkpoints=whole.training.keep_checkpoints,
                tensorboard=whole.training.tensorboard,
            ),
        }
    )


def images_seen(config: RunConfig, train: Split) -> int:
    """Counts the images that a training sees, each as often as it does."""
    steps = InputPipeline(config, TrainingImages(train, train)).loop_settings().steps
    return steps * config.training.batch_size


def fine_tuning_stage(
    context: Context, job: Job, config: RunConfig, images: Images, details: dict[str, Any]
) -> Stage:
    """Gives the stage of a job: where it is kept, and what its weights come from.

    Args:
        context: of the run.
        job: what is trained.
        config: of the job; see ``configure``.
        images: of the job.
        details: of the step's record, for alarms and for what callbacks raise.

    """
    settings = settings_seen(config)
    inputs: dict[str, Any] = {
        **training_images(context),
        "code": part_code("finetune", context),
        **{key: settings[key] for key in ("seed", "views", "encoder", "training")},
        "held_out": images.held_out.name,
        "share": job.share,
        "draw": job.draw,
    }
    if job.pretrained:
        inputs |= {
            "pretrain": context.run.fingerprint_of("pretrain"),
            "head": context.config.evaluation.finetune_head,
            "layer_decay": context.config.evaluation.finetune_layer_decay,
        }
    folder = context.run.path / FINETUNED
    if not job.kept:
        part = "all" if job.whole else f"{job.share:g}-{job.draw}"
        folder = context.run.path / MEASURED / f"{PREFIXES[job.start]}-{part}"
    return Stage(
        name=job.start,
        config=config,
        fingerprint=fingerprint(inputs),
        checkpoints=folder,
        tensorboard=context.run.path / CURVES[job.start] if job.whole else None,
        metrics=context.run.path / INTERVALS[job.start] if job.whole else None,
        attendance=attendance(context, details),
        callbacks=stage_callbacks(context, TRAINING_SECTION) if job.whole else (),
    )


def fine_tune(
    context: Context, job: Job, stage: Stage, images: Images, show: Callable[[int], None]
) -> Method:
    """Trains as the job says; see ``train_stage``. The networks end as the last step left them.

    Args:
        context: of the run.
        job: what is trained.
        stage: of the job; see ``fine_tuning_stage``.
        images: with the labels of this job alone.
        show: called with how many images were seen.

    Returns:
        The method with its finished networks.

    Raises:
        TrainingDivergedError: if the loss is no longer a finite number.

    """
    config = stage.config

    def build_state(method: Method, settings: LoopSettings) -> TrainState:
        if job.pretrained:
            _start_from_pretraining(context, method, images)
        state = TrainState(
            models=method.models,
            optimizer=keep_gradients(_optimizer(context, job, method), config.training.precision),
            extra={"best": EarlyStopping(config.training.epochs + 1, mode="max")},
        )
        state.build()
        return state

    plan = StagePlan(
        batches=InputPipeline(config, TrainingImages(images.train, images.train)),
        build_state=build_state,
        epoch_rules=lambda state: _epoch_rules(stage, images, state) if job.whole else None,
        # One job alone has its weights kept, and a job has ended once it is measured.
        final_weights=None,
        learning_rate_curve=False,
        description={"class_names": list(images.train.class_names)},
    )
    try:
        return train_stage(
            stage, plan, tf.distribute.get_strategy(), lambda *_: contextlib.nullcontext(show)
        )
    except TrainingDivergedError as error:
        raise TrainingDivergedError(
            f"{job.start}: the loss is no longer a finite number: expected a lower "
            f"evaluation.finetune_learning_rate, received {config.training.learning_rate:g}"
        ) from error


def _start_from_pretraining(context: Context, method: Method, images: Images) -> None:
    """Gives the encoder what pretraining ended with, and the head a probe where that is set.

    The probe was fitted on features in inference mode. Where batch statistics are far from the
    running ones, after a few steps of pretraining or of quite other views, it starts badly.
    """
    read_final(context.run.path / "checkpoints", {"encoder": method.models["encoder"]})
    config = context.config.evaluation
    if config.finetune_head == "linear_probe":
        # On the labels of this training alone, of which others would be a leak.
        rows = labelled_rows(images.train)
        probe = fit_logistic_regression(
            images.embeddings[rows],
            images.train.labels[rows],
            classes=len(images.train.class_names),
            regularisation=config.regularisation,
        )
        start_head(method.models["head"], probe)


def _optimizer(context: Context, job: Job, method: Method) -> keras.optimizers.Optimizer:
    config, training = context.config.evaluation, context.config.training
    decay = config.finetune_layer_decay
    epsilon = (training.epsilon if training.optimizer == "adam" else None) or 1e-8
    # First weights hold nothing that small steps could protect.
    if decay is None or not job.pretrained:
        return keras.optimizers.Adam(config.finetune_learning_rate, epsilon=epsilon)
    depths = {
        "encoder": encoder_depths(method.models["encoder"]),
        "head": [0] * len(method.models["head"].trainable_variables),
    }
    # In the order of ``TrainState.variables``.
    factors = [decay**depth for name in sorted(method.models) for depth in depths[name]]
    return LayerwiseAdam(config.finetune_learning_rate, factors, epsilon=epsilon)


def _epoch_rules(stage: Stage, images: Images, state: TrainState) -> EpochRules:
    """Validates on the validation images, or else the held-out ones, which choose nothing."""
    observed = images.held_out if images.validation is None else images.validation
    validate = build_validation(
        state.models["encoder"],
        state.models["head"],
        observed.images,
        observed.labels,
        observed.name,
    )
    if images.validation is None:
        return EpochRules(validate)
    return EpochRules(
        validate,
        # Its patience outlasts the training, so that it only marks the best.
        early_stopping=MonitoredMetric(f"{observed.name}/accuracy", state.extra["best"]),
        keep_best=lambda: write_weights(best_weights(stage), state.models, stage.writer),
    )
