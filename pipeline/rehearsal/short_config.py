"""Configuration of a rehearsal: the run's own networks, batches and steps, of the least length."""

from __future__ import annotations

import math

from twofold.components.methods.settings import MethodSettings, TeacherSettings
from twofold.components.training.alarms.alarms_settings import ACTIONS
from twofold.pipeline.config import EvaluationConfig, RunConfig, SwaSettings, TrainingSettings
from twofold.pipeline.training.stage_configs import stage_configs

# Of training images some may be cut off to decide, and some lose their label.
_CUT, _LABELLED = 1.3, 0.5
_CORRUPTED = 4


def shorten(config: RunConfig) -> RunConfig:
    """Returns what takes each step of a run with its own networks and batches, but briefly.

    Training takes a batch or two of each stage, for two epochs. The configuration is not one that
    a person could type: what would contradict so short a training is let be.
    """
    data = config.data.model_copy(
        update={
            # The images are chosen already, with the splits that they fall into.
            "validation_share": 0.0,
            "training_rules": (),
            "training_images": None,
            "label_share": max(config.data.label_share, _LABELLED),
            "duplicates": "off",
            "max_reject_share": 1.0,
        }
    )
    return config.model_copy(
        update={
            "data": data,
            "method": _brief_method(config.method, config.training.batch_size),
            "training": _short(config.training),
            "evaluation": _brief(config.evaluation),
            "study": None,
        }
    )


def without_start(config: RunConfig) -> RunConfig:
    """Leaves out where training starts from, which one that has begun needs no more."""
    if config.training.start_from is None:
        return config
    training = config.training.model_copy(update={"start_from": None, "start_with": "everything"})
    return config.model_copy(update={"training": training})


def images_needed(config: RunConfig) -> int:
    """Returns how many training images fill a batch of each stage of a run."""
    stages = stage_configs(config).values()
    kept = _LABELLED if config.data.label_share < 1 else 1.0
    return math.ceil(_CUT * max(one.training.batch_size for one in stages) / kept)


def _brief_method(method: MethodSettings, batch_size: int) -> MethodSettings:
    """Shortens a teacher's training, and a queue to what few images can fill."""
    changed: dict[str, object] = {}
    for name in type(method).model_fields:
        value = getattr(method, name)
        if isinstance(value, TeacherSettings):
            changed[name] = value.model_copy(update={"training": _short(value.training)})
        elif name == "queue_size" and value is not None:
            changed[name] = min(value, batch_size)
    return method.model_copy(update=changed)


def _short(training: TrainingSettings) -> TrainingSettings:
    averaging = training.averaging
    if isinstance(averaging, SwaSettings):
        averaging = averaging.model_copy(update={"start_epoch": 0.0, "period_steps": 1})
    return training.model_copy(
        update={
            "epochs": 2,
            "warmup_epochs": min(training.warmup_epochs, 1.0),
            "schedule_epochs": None,
            "last_batch": "drop",
            "averaging": averaging,
            "log_every": 1,
            "checkpoint_every_epochs": 1,
            # Nobody else is told of it.
            "callbacks": (),
            "profile_steps": None,
            # So few steps say nothing about a training.
            "alarms": training.alarms.model_copy(update=dict.fromkeys(ACTIONS, "off")),
        }
    )


def _brief(evaluation: EvaluationConfig) -> EvaluationConfig:
    severities = evaluation.corruption_severities[:1]
    return evaluation.model_copy(
        update={
            "probe_epochs": 1,
            "label_fraction_seeds": 2,
            "label_fractions": evaluation.label_fractions[:1],
            "finetune_epochs": None if evaluation.finetune_epochs is None else 1,
            "finetune_label_fractions": evaluation.finetune_label_fractions[:1],
            "corruption_severities": severities,
            "corruption_images": _CORRUPTED,
            # Measured at other severities, it would not do.
            "robustness_baseline": None,
            "corrupted_tfds": None,
        }
    )
