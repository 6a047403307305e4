"""Settings without effect: under which condition each has one, and what to set instead.

A setting that differs from its default where nothing reads it is refused, rather than let a person
believe that it was obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from twofold.components.encoders.settings import NormalisedSettings
from twofold.components.methods.settings import METHODS
from twofold.components.settings import Section
from twofold.components.training.settings import TrainingSettings


@dataclass(frozen=True)
class Effect:
    """When settings of a section have an effect.

    Attributes:
        keys: the settings, within the section.
        read: of the section and the whole configuration, whether anything reads them.
        needs: what to set so that something does.
        fault: what is wrong where nothing does.

    """

    keys: tuple[str, ...]
    read: Callable[[Any, Any], bool]
    needs: str
    fault: str = "has no effect"


def _label_subsets(config: Any) -> bool:
    shares = (config.evaluation.label_fractions, config.evaluation.finetune_label_fractions)
    return config.data.label_share < 1 or any(shares)


DATA = (
    Effect(
        ("label_latent",),
        lambda data, _: getattr(data.source, "label_field", None) is None,
        "data.label_field=null",
    ),
    Effect(
        ("split_seed",),
        lambda data, _: data.test_share > 0 or data.validation_share > 0,
        "data.test_share or data.validation_share above 0",
    ),
    Effect(
        ("test_share",),
        lambda data, _: getattr(data.source, "permuted_split", None) is None,
        "data.permuted_split=null",
    ),
    Effect(
        ("label_seed",),
        lambda _, config: _label_subsets(config),
        "data.label_share below 1, evaluation.label_fractions or "
        "evaluation.finetune_label_fractions",
    ),
    Effect(
        ("training_seed",),
        lambda data, _: data.training_images is not None,
        "data.training_images",
    ),
    Effect(
        ("other_formats",),
        lambda data, _: data.source.reads_files,
        "a data.source that reads image files, such as folder",
    ),
    Effect(("jpeg_quality",), lambda data, _: data.stored_as == "jpeg", "data.stored_as=jpeg"),
    Effect(
        ("near_duplicate_bits",), lambda data, _: data.duplicates == "near", "data.duplicates=near"
    ),
    Effect(
        ("on_duplicate", "on_leakage"),
        lambda data, _: data.duplicates != "off",
        "data.duplicates=near or exact",
    ),
)

# What ``training`` says of batches and devices, which are in use where nothing is trained, too.
_OF_BATCHES = (
    *("batch_size", "labelled_batch_size", "last_batch", "batch_statistics"),
    *("compile", "replicas"),
)
# What fine-tuning takes over.
_OF_ANY_TRAINING = (
    *("precision", "deterministic", "tensorboard"),
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
        "it of the student's training",
    ),
    Effect(
        ("start_with",),
        lambda training, _: training.start_from is not None,
        "training.start_from",
    ),
    Effect(
        ("continue_schedule",),
        lambda training, config: training is config.training and training.schedule != "constant",
        "training.schedule=cosine, of no teacher",
    ),
    Effect(
        ("continue_learning_rate",),
        lambda training, _: training.continue_schedule in ("restarted", "constant"),
        "training.continue_schedule=restarted or constant",
    ),
    Effect(
        ("compile",),
        lambda training, _: training.compile != "step" or training.replicas in (None, 1),
        "training.replicas=1, since what replicas exchange cannot be compiled",
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

# Of each view policy that has such settings.
VIEWS = (
    Effect(
        ("brightness", "contrast", "saturation", "saturation_of", "hue", "strength"),
        lambda views, _: getattr(views, "jitter_probability", 1.0) > 0,
        "views.jitter_probability above 0",
    ),
    Effect(
        ("sigma", "sigma_drawn", "blur_size", "blur_share"),
        lambda views, _: views.blur_probability > 0,
        "views.blur_probability above 0",
    ),
    Effect(
        ("solarise_threshold",),
        lambda views, _: views.solarise_probability > 0,
        "views.solarise_probability above 0",
    ),
)

METHOD = (
    Effect(
        ("projector_batch_norm",),
        lambda method, _: (
            not method.projector_batch_norm or method.projector is None or len(method.projector) > 1
        ),
        "two or more widths in method.projector",
    ),
    Effect(
        ("predictor_rate",),
        lambda _, config: config.training.schedule != "constant",
        "training.schedule=cosine",
    ),
    Effect(
        ("batch_norm_groups",),
        lambda method, config: (
            isinstance(config.encoder, NormalisedSettings)
            or (method.projector_batch_norm and (method.projector is None or method.projector))
        ),
        "an encoder.name with batch normalisation, or method.projector_batch_norm=true",
    ),
)

EVALUATION = (
    Effect(
        ("probe_reads",),
        lambda _, config: getattr(config.method, "projector", ()) != () and config.study is None,
        "a method.projector with a layer, and no study",
    ),
    Effect(
        ("measured_images",),
        lambda evaluation, _: bool(
            {"clustering", "retrieval", "uniformity"} & set(evaluation.measures)
        ),
        "clustering, retrieval or uniformity in evaluation.measures",
    ),
    Effect(
        ("label_fraction_seeds",),
        lambda evaluation, _: bool(
            evaluation.label_fractions or evaluation.finetune_label_fractions
        ),
        "evaluation.label_fractions or evaluation.finetune_label_fractions",
    ),
    Effect(
        (
            "finetune_from_scratch",
            "finetune_learning_rate",
            "finetune_batch_size",
            "finetune_views",
            "finetune_layer_decay",
            "finetune_head",
            "finetune_label_fractions",
        ),
        lambda evaluation, _: evaluation.finetune_epochs is not None,
        "evaluation.finetune_epochs",
    ),
    Effect(
        ("finetune_layer_decay",),
        lambda evaluation, _: evaluation.finetune_layer_decay != 1.0,
        "a factor below 1",
        "gives all blocks one rate",
    ),
    Effect(
        (
            "robustness_classifier",
            "corruption_severities",
            "corruption_images",
            "corruption_seed",
            "corrupted_tfds",
            "robustness_baseline",
        ),
        lambda evaluation, _: evaluation.robustness != "off",
        "evaluation.robustness=main or all",
    ),
    Effect(
        ("corruption_seed",),
        lambda evaluation, _: evaluation.corrupted_tfds is None,
        "evaluation.corrupted_tfds=null",
    ),
)

EXPORT = (
    Effect(
        ("converted_images",),
        lambda export, _: any(name != "saved_model" for name in export.formats),
        "a format besides saved_model in export.formats",
    ),
    Effect(
        ("calibration_images",),
        lambda export, _: "litert_int8" in export.formats,
        "litert_int8 in export.formats",
    ),
    Effect(
        ("formats", "neighbour_head", "tta_flip", "converted_images", "calibration_images"),
        lambda _, config: config.study is None,
        "study=null, since a study exports nothing",
    ),
)

STUDY = (
    Effect(("pixel_epochs",), lambda study, _: study.pixels is not None, "study.pixels"),
    Effect(
        ("fraction_probe_epochs", "fraction_training_epochs", "curve_groups"),
        lambda study, _: bool(study.label_fractions),
        "study.label_fractions",
    ),
    Effect(("pictured_images",), lambda study, _: bool(study.pictured), "study.pictured"),
)

RUN = (
    Effect(
        ("probe_views",),
        lambda config, _: (
            (config.method.trains and not config.method.classifies)
            or (
                config.evaluation.finetune_epochs is not None
                and config.evaluation.finetune_views is None
            )
        ),
        "a method.name beside which a probe learns",
    ),
)


def without_effect(config: Any) -> Iterator[str]:
    """Describes each setting that differs from its default where nothing reads it.

    Args:
        config: a ``RunConfig``, whose validation this is a part of.

    """
    for path, section, effects in _sections(config):
        for effect in effects:
            for key in effect.keys:
                value, default = _value_and_default(section, key)
                if value == default or effect.read(section, config):
                    continue
                needs = effect.needs
                for own, usual in ((TRAINING, "training."), (VIEWS, "views.")):
                    needs = needs.replace(usual, path) if effects is own else needs
                shown = "" if isinstance(value, Section) else f"={as_yaml(value)}"
                yield (
                    f"{path}{key}{shown} {effect.fault}: expected {needs}, or "
                    f"{path}{key}={as_yaml(default)}"
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


def _sections(config: Any) -> Iterator[tuple[str, Section, tuple[Effect, ...]]]:
    yield "data.", config.data, DATA
    yield "training.", config.training, TRAINING
    yield "method.", config.method, METHOD
    yield "evaluation.", config.evaluation, EVALUATION
    yield "export.", config.export, EXPORT
    yield "", config, RUN
    policies = {
        "views.": config.views,
        "second_views.": config.second_views,
        "probe_views.": config.probe_views,
        "evaluation.finetune_views.": config.evaluation.finetune_views,
    }
    yield from ((path, views, VIEWS) for path, views in policies.items() if views is not None)
    if config.study is not None:
        yield "study.", config.study, STUDY
    teacher = config.method.teacher_stage
    if teacher is not None:
        yield "method.teacher.training.", teacher.training, TRAINING


def _value_and_default(section: Section, key: str) -> tuple[Any, Any]:
    """Returns the same twice where the section has no such key, as a source that lacks it."""
    head, _, rest = key.partition(".")
    if head not in type(section).model_fields:
        source = getattr(section, "source", None)
        return (None, None) if source is None else _value_and_default(source, key)
    value = getattr(section, head)
    if rest:
        return _value_and_default(value, rest) if isinstance(value, Section) else (None, None)
    return value, type(section).model_fields[head].get_default(call_default_factory=True)


def as_yaml(value: Any) -> str:
    """Writes a value as one types it after ``KEY=``."""
    return value if isinstance(value, str) else json.dumps(value, default=list)
