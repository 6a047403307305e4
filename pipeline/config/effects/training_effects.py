"""Effects of ``training``, of a teacher's training, and what is left of them without either."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twofold.components.methods.settings import METHODS
from twofold.components.training.settings import TrainingSettings
from twofold.pipeline.config.effects.effect import Effect

# What ``training`` says of batches and devices, which are in use where nothing is trained, too.
_OF_BATCHES = (
    *("batch_size", "labelled_batch_size", "last_batch", "batch_statistics"),
    *("compile", "replicas"),
)
# What fine-tuning takes over.
_OF_ANY_TRAINING = (
    *("precision", "deterministic", "steps_per_call", "recompute_activations", "tensorboard"),
    "callbacks",
    *("log_every", "checkpoint_every_epochs", "checkpoint_minutes", "keep_checkpoints"),
)
_OF_TRAINING = tuple(
    name for name in TrainingSettings.model_fields if name not in (*_OF_BATCHES, *_OF_ANY_TRAINING)
)

# Of ``training``, and of a teacher's.
TRAINING = (
    Effect(
        _OF_TRAINING,
        lambda _, config: config.method.trains,
        "a method.name that trains",
    ),
    Effect(
        _OF_ANY_TRAINING,
        lambda _, config: config.method.trains or config.evaluation.finetune_epochs is not None,
        "a method.name that trains, or evaluation.finetune_epochs",
    ),
    Effect(
        ("momentum",),
        lambda training, _: training.optimizer in ("sgd", "lars"),
        "training.optimizer=sgd or lars",
    ),
    Effect(
        ("epsilon",),
        lambda training, _: training.optimizer != "sgd",
        "training.optimizer=adam, adamw, lars or lamb",
    ),
    Effect(
        ("exclude",),
        lambda training, _: (
            training.optimizer in ("lars", "lamb")
            or (training.optimizer in ("sgd", "adamw") and training.weight_decay > 0)
        ),
        "training.optimizer=lars or lamb, or training.weight_decay above 0",
    ),
    Effect(
        ("last_batch",),
        lambda training, config: (
            training.labelled_batch_size is None and config.data.sampling == "uniform"
        ),
        "training.labelled_batch_size=null and data.sampling=uniform",
    ),
    Effect(
        ("schedule_epochs", "schedule_every", "final_learning_rate"),
        lambda training, _: training.schedule != "constant",
        "training.schedule=cosine",
    ),
    Effect(
        ("start_from",),
        lambda training, config: training is config.training,
        "start_from in the student's settings",
    ),
    Effect(
        # One group of workers trains teacher and student.
        ("worker_timeout_seconds",),
        lambda training, config: training is config.training,
        "worker_timeout_seconds in the student's settings",
    ),
    Effect(
        ("start_with",),
        lambda training, _: training.start_from is not None,
        "training.start_from",
    ),
    Effect(
        ("continue_schedule",),
        lambda training, config: training is config.training,
        "continue_schedule in the student's settings",
    ),
    Effect(
        ("continue_schedule",),
        lambda training, _: training.schedule != "constant",
        "training.schedule=cosine",
    ),
    Effect(
        ("continue_learning_rate",),
        lambda training, _: training.continue_schedule in ("restarted", "constant"),
        "training.continue_schedule=restarted or constant",
    ),
    Effect(
        ("recompute_activations",),
        lambda _, config: (
            config.method.calls_encoder or config.evaluation.finetune_epochs is not None
        ),
        "a method.name whose gradients go through the whole encoder",
    ),
    Effect(
        ("steps_per_call",),
        lambda training, _: (training.steps_per_call or 1) < max(2, training.log_every),
        "training.log_every above it, since the last step of an interval is made alone",
    ),
    Effect(
        ("warmup_epochs",),
        lambda training, _: training.warmup_epochs <= training.epochs,
        "training.epochs of at least that",
        "ends after training does",
    ),
    Effect(
        ("averaging.start_epoch",),
        lambda training, _: training.averaging.start_epoch < training.epochs,
        "training.epochs above that",
        "leaves no snapshot to average",
    ),
    Effect(
        (
            "alarms.geometry_every",
            "alarms.geometry_images",
            "alarms.collapsed_deviation",
            "alarms.collapsed_rank",
            "alarms.collapsed_uniformity",
        ),
        lambda training, _: training.alarms.collapse != "off",
        "training.alarms.collapse=warn",
    ),
    Effect(
        ("alarms.collapsed_rank", "alarms.stalled_probe", "alarms.probe_epochs"),
        lambda _, config: not config.method.classifies,
        "a method.name that does not classify on its own",
    ),
    Effect(
        ("alarms.probe_epochs",),
        lambda training, _: training.alarms.stalled_probe != "off",
        "training.alarms.stalled_probe=warn",
    ),
    Effect(
        ("alarms.spike_score",),
        lambda training, _: training.alarms.loss_spike != "off",
        "training.alarms.loss_spike=warn",
    ),
    Effect(
        ("alarms.starved_share",),
        lambda training, _: training.alarms.input_starvation != "off",
        "training.alarms.input_starvation=warn",
    ),
    Effect(
        ("alarms.checks",),
        lambda training, _: (
            training.alarms.collapse != "off" or training.alarms.input_starvation != "off"
        ),
        "training.alarms.collapse=warn",
    ),
    Effect(
        ("alarms.stale_queue",),
        lambda _, config: hasattr(config.method, "queue_size"),
        "a method.name that has a queue",
    ),
    Effect(
        ("alarms.rollback_rate",),
        lambda training, _: (
            "rollback"
            in (training.on_divergence, training.alarms.collapse, training.alarms.loss_spike)
        ),
        "training.on_divergence=rollback",
    ),
    Effect(
        ("plateau",),
        lambda training, _: training.plateau.patience < training.epochs - 1,
        "training.epochs of more than training.plateau.patience + 1",
    ),
)


def drop_unread_training(values: dict[str, Any], given: Collection[str]) -> None:
    """Resets what a recipe set of a training that is left out, in place.

    Args:
        values: of a configuration, as they are written.
        given: the keys of ``training`` that the user gave, which are kept.

    """
    method, training = values.get("method"), values.get("training")
    evaluation = values.get("evaluation")
    if not (
        isinstance(method, dict) and isinstance(training, dict) and isinstance(evaluation, dict)
    ):
        return
    chosen = METHODS.get(str(method.get("name")))
    if chosen is None or chosen.trains:
        return
    tunes = evaluation.get("finetune_epochs") is not None
    usual = TrainingSettings().model_dump(mode="json")
    for key in (*_OF_TRAINING, *(() if tunes else _OF_ANY_TRAINING)):
        if key not in given:
            training[key] = usual[key]
